#!/usr/bin/env python3
"""A chat in two windows: two bridges on one store, one session. What is said in one window, and what is answered, is seen in both."""
import json, os, subprocess, tempfile, threading
from pathlib import Path

FOOTBRIDGE = os.path.abspath(os.environ.get("FOOTBRIDGE") or Path(__file__).resolve().parent.parent / ".build/release/footbridge")


class Window:
    def __init__(self, name, store):
        self.name, self.answers, self.log, self.news = name, {}, {}, threading.Condition()
        self.process = subprocess.Popen([FOOTBRIDGE, "--store", store], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self.read, daemon=True).start()
        self.ask("initialize", protocolVersion="2026-11-20", clientInfo={"name": "two_windows.py", "version": "1"}, capabilities={})

    def read(self):
        for message in map(json.loads, self.process.stdout):
            with self.news:
                if "method" not in message:
                    self.answers[message["id"]] = message
                elif message["method"] == "run.event" and "seq" in message["params"]:  # text.delta, without seq, is for a window on a screen
                    self.log.setdefault(message["params"]["runId"], []).append(message["params"])
                self.news.notify_all()

    def ask(self, method, **params):
        message = {"jsonrpc": "2.0", "id": f"{method} {params}", "method": method, "params": params}
        print(json.dumps(message), file=self.process.stdin, flush=True)
        with self.news:
            assert self.news.wait_for(lambda: message["id"] in self.answers, 30), f"no answer to {method}"
            answer = self.answers.pop(message["id"])
        return answer["result"] if "result" in answer else exit(f"{method}: {answer['error']['message']}")

    def say(self, session, text, answer):
        """One turn of the session. Its model is a script that checks what it is asked; the turn waits while another is at work."""
        script = Path(folder, f"{self.name}.jsonl")
        script.write_text(json.dumps({"text": answer, "delayMs": 300, "expect": {"role": "user", "content": text}}))
        return self.ask("run.start", sessionId=session, input=text, agent={"model": f"script:{script}"}, wait=False)["runId"]

    def sees(self, run):
        """The log of a turn, once its end is there."""
        with self.news:
            assert self.news.wait_for(lambda: run in self.log and self.log[run][-1]["type"] == "run.completed", 30), f"{self.name} does not see {run}"
            return self.log[run]


with tempfile.TemporaryDirectory() as folder:
    left, right = Window("left", f"sqlite:{folder}/runs.db"), Window("right", f"sqlite:{folder}/runs.db")
    session = left.ask("session.create")["sessionId"]
    for window in (left, right):
        window.ask("session.subscribe", sessionId=session)
    runs = [left.say(session, "Who is there?", "A bridge with two windows."), right.say(session, "Do I see that too?", "As soon as it is said.")]
    for run in runs:
        assert left.sees(run) == right.sees(run) and [event["seq"] for event in left.sees(run)] == list(range(1, len(left.sees(run)) + 1))
    for message in right.ask("session.messages", sessionId=session)["messages"]:
        print(f"{message['role']}: {''.join(block['text'] for block in message['content'])}")
    print("both windows have seen the same events of both turns, without a gap")
    for window in (left, right):
        window.process.stdin.close()  # hangs up
        window.process.wait()
