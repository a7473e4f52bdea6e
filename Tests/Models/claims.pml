/*
 * Claims and leases: one run, several bridges on its store, any of which may be slow, frozen or killed at any moment.
 *
 * What it abstracts:
 *   the row and the log of a run         SQLiteStore+Append.swift (`append`), PostgresStore likewise
 *   a bridge's copy of it, `seen`        LiveRun (`committed`, `committedEpoch`, `machine.state`)
 *   load, decide, append, decide again   RunEngine.swift (`commit`, `decideAgain`), RunEngine+Loading.swift
 *   claim                                RunMachine.swift (`drive`, `nextClaim`), RunMachine+Control.swift (`resume`)
 *   interrupted server calls             RunMachine+Calls.swift (`settleInterruptedServerCalls`)
 *   submit, which continues the run      RunMachine+Submit.swift (`take`)
 *
 * The clock is left out on purpose: a lease may be found to be over at any moment, also that of a bridge that is at work. What holds here holds
 * whatever stamps, clocks and schedulers do; the ten seconds only decide how soon somebody else goes on.
 *
 * A run takes TURNS turns. In each, its driver runs one server tool that must not run twice, then the run waits for the result of one client
 * call; whoever submits it goes on with the store. Each bridge submits a result of its own wherever it sees the run wait.
 *
 * Twins, each with one rule broken, are chosen by -D (check.sh says which must fail):
 *   STATUS_ONLY         an append compares nothing but the status
 *   POSITION_IGNORED    an append compares nothing but the epoch
 *   EPOCH_IGNORED       an append compares nothing but the position
 *   CLAIM_BESIDE_LOG    a claim changes the row and adds no record
 *   NO_FENCING          a driver's appends are not compared: it trusts its lease
 *   ACK_BEFORE_COMMIT   a submit is answered before its result is stored
 *   ACT_BEFORE_COMMIT   the tool is run before `tool.started` is stored
 *   RUN_AGAIN           what was interrupted is run again
 */

#ifndef BRIDGES
#define BRIDGES 2
#endif
#ifndef TURNS
#define TURNS 2
#endif
#define CALLS 2
#define CRASHES 1
/* Claims of a run that another drives; without a bound there is always one more course. */
#ifndef CLAIMS
#ifndef CLAIMS
#define CLAIMS 2
#endif
#endif
#define NOBODY 255
/* A bridge that was killed comes back as another process: no number is used twice. */
#define PROCESSES (BRIDGES * 2)

mtype = { running, waiting, ended };
mtype = { notBegun, atWork, over };

typedef Copy {
  byte position;
  byte epoch;
  byte owner;
  mtype status = running;
  mtype tool = notBegun;
  byte turn;
  /* Calls of the turn that have their result. */
  byte given
}

/* What is stored. */
Copy store;
byte answeredBy[TURNS * CALLS] = NOBODY;
byte ends;

/* What happened in the world, besides what is stored. */
byte toolRuns[TURNS];
byte continuations[TURNS];
byte acknowledged[TURNS * CALLS * PROCESSES];
byte crashes;
byte claims;

inline copy(to, from) {
  to.position = from.position; to.epoch = from.epoch; to.owner = from.owner;
  to.status = from.status; to.tool = from.tool; to.turn = from.turn;
  to.given = from.given
}

/* Whether the store takes an append of a bridge that has `seen` the run so. */
#if defined(STATUS_ONLY)
#define fits (store.status == seen.status)
#elif defined(POSITION_IGNORED)
#define fits (store.epoch == seen.epoch)
#elif defined(EPOCH_IGNORED)
#define fits (store.position == seen.position)
#else
#define fits (store.position == seen.position && store.epoch == seen.epoch)
#endif

#ifdef NO_FENCING
#define fitsDriver true
#else
#define fitsDriver fits
#endif

/* The lease of whoever drives the run may be over: it is gone, or does not show itself. */
inline claimIt() {
  atomic {
    if
    :: fits ->
      claims++;
      store.owner = me;
      store.epoch++;
#ifndef CLAIM_BESIDE_LOG
      store.position++;
#endif
      /* Nobody claims a run whose tool is at work: it was interrupted. */
      if
#ifdef RUN_AGAIN
      :: store.tool == atWork -> store.tool = notBegun
#else
      :: store.tool == atWork -> store.tool = over
#endif
      :: else
      fi
    :: else
    fi;
    copy(seen, store)
  }
}

inline runTool(number) {
  toolRuns[number]++;
  assert(toolRuns[number] <= 1)
}

inline beginTool() {
#ifdef ACT_BEFORE_COMMIT
  runTool(seen.turn);
#endif
  atomic {
    taken = false;
    if
    :: fitsDriver ->
      assert(store.owner == me);
      assert(store.tool == notBegun);
      store.position++;
      store.tool = atWork;
      taken = true;
      acting = store.turn
    :: else
    fi;
    copy(seen, store)
  };
#ifndef ACT_BEFORE_COMMIT
  /* Between the commit and this, the bridge may have been frozen and fenced out: then it is the only run of the tool all the same. */
  if
  :: taken -> atomic { runTool(acting) }
  :: else
  fi
#endif
}

/* The tool's result and the pause; in the last turn, which has no call, the end. One append. */
inline finishTurn() {
  atomic {
    if
    :: fitsDriver ->
      assert(store.owner == me);
      store.position++;
      store.owner = NOBODY;
      if
      :: store.turn < TURNS ->
        assert(store.tool != notBegun);
        store.status = waiting;
        store.tool = over
      :: else ->
        store.status = ended;
        ends++;
        assert(ends == 1)
      fi
    :: else
    fi;
    copy(seen, store)
  }
}

/* A result for the next call that the run was seen to wait for; with the last one goes the claim that continues the run. */
inline submitResult() {
  acting = seen.turn * CALLS + seen.given;
#ifdef ACK_BEFORE_COMMIT
  acknowledged[acting * PROCESSES + me] = 1;
#endif
  atomic {
    taken = false;
    if
    :: fits ->
      /* It answers the call that it was meant for, and that had no answer. */
      assert(store.status == waiting && store.turn * CALLS + store.given == acting);
      assert(answeredBy[acting] == NOBODY);
      answeredBy[acting] = me;
      store.position++;
      store.given++;
      taken = true;
      if
      :: store.given == CALLS ->
        store.epoch++;
        store.owner = me;
        store.status = running;
        store.turn++;
        store.given = 0;
        store.tool = notBegun
      :: else
      fi
    :: else
    fi;
    copy(seen, store)
  };
  if
  :: taken ->
    atomic {
#ifndef ACK_BEFORE_COMMIT
      acknowledged[acting * PROCESSES + me] = 1;
#endif
      if
      :: acting % CALLS == CALLS - 1 ->
        continuations[acting / CALLS]++;
        assert(continuations[acting / CALLS] == 1)
      :: else
      fi
    }
  :: else
  fi
}

#define isUpToDate (seen.position == store.position && seen.epoch == store.epoch)
#define drives (seen.status == running && seen.owner == me)

active [BRIDGES] proctype Bridge() {
  byte me = _pid;
  Copy seen;
  bool taken;
  byte acting;

  atomic { copy(seen, store) }
  /* Out of claims, a run whose driver is gone stays as it is. */
endBridge:
  do
  :: seen.status == ended -> break
  :: drives && seen.tool == notBegun && seen.turn < TURNS -> beginTool()
  :: drives && (seen.tool != notBegun || seen.turn == TURNS) -> finishTurn()
  :: seen.status == running && seen.owner != me && claims < CLAIMS -> claimIt()
  :: seen.status == waiting -> submitResult()
  :: atomic { !isUpToDate -> copy(seen, store) }
  :: atomic { crashes < CRASHES && me < BRIDGES -> crashes++; me = me + BRIDGES; copy(seen, store) }
  od
}

/* When all is over, what was acknowledged is what is stored. */
active proctype Judge() {
  byte call, process;
endJudge:
  store.status == ended;
  atomic {
    for (call : 0 .. TURNS * CALLS - 1) {
      assert(answeredBy[call] != NOBODY);
      for (process : 0 .. PROCESSES - 1) {
        assert(!acknowledged[call * PROCESSES + process] || answeredBy[call] == process)
      }
    }
  }
}
