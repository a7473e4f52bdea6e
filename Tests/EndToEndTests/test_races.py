"""Section 12.2: whatever races, there is one winner, and everybody tells the same story. The long form: races.py."""
import pytest

from races import KINDS, Races


def test_of_all_that_meets_at_a_run_one_wins_and_everybody_tells_it_alike(tmp_path):
    races = Races(tmp_path)
    races.play(2 * len(KINDS), 24)
    races.close()


@pytest.mark.long
def test_it_is_so_a_thousand_times_with_a_hundred_submitters(tmp_path):
    races = Races(tmp_path)
    races.play(1000, 100)
    races.close()
