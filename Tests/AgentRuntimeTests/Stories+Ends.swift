/// Scenarios with limits, and those in which the client hangs up.
let endStories: [String: String] = [
  "as many turns as may be": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a 'a done'
  7 run.resumed invoke
  8 model.started again
  9 model.completed '' a-2
  10 tool.started a-2#1
  11 run.paused waiting_client_tool a-2#1-open
  invoke a-2#1 {}
  12 tool.completed a-2 'a done'
  13 run.resumed invoke
  14 run.completed max_iterations
  start -> max_iterations
  """,
  "as many turns as may be, then a pause": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a 'a done'
  7 run.resumed invoke
  8 run.paused paused run.limitExceeded
  start -> paused
  9 run.resumed resume
  10 run.paused paused run.limitExceeded
  resume -> paused
  11 run.resumed resume
  12 model.started again
  text 'ok'
  13 model.completed 'ok'
  14 run.completed success 'ok'
  resume -> success
  """,
  "as many calls as may be": #"""
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a 'a done'
  7 run.resumed invoke
  8 model.started again
  9 model.completed '' a-2 nobody
  10 limit.warning maxToolCalls 3/2
  11 tool.completed nobody error 'There is no tool named "nobody". Available: a.'
  12 tool.completed a-2 error 'The run ended before this call was dispatched: the run's limit of 2 tool calls (maxToolCalls) is reached.'
  13 run.error error run.limitExceeded
  start -> error
  """#,
  "as many calls as may be, then a pause": """
  1 run.started
  2 model.started
  3 model.completed '' a a-2
  4 limit.warning maxToolCalls 2/1
  5 run.paused paused a#0-parked a-2#0-parked run.limitExceeded
  start -> paused
  6 run.resumed resume
  7 tool.started a#1
  8 tool.started a-2#1
  9 run.paused waiting_client_tool a#1-open a-2#1-open
  invoke a#1 {}
  invoke a-2#1 {}
  10 tool.completed a 'a done'
  11 tool.completed a-2 'a done'
  12 run.resumed invoke
  13 model.started again
  text 'ok'
  14 model.completed 'ok'
  15 run.completed success 'ok'
  resume -> success
  """,
  "as many tokens as may be": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a 'a ran'
  6 run.error error run.limitExceeded
  start -> error
  """,
  "as many tokens as may be, then a pause": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a 'a ran'
  6 run.paused paused run.limitExceeded
  start -> paused
  7 run.resumed resume
  8 limit.warning maxTotalTokens 15/16
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  resume -> success
  """,
  "a deadline while the model is at work": """
  1 run.started
  2 model.started
  3 run.error error run.limitExceeded
  start -> error
  """,
  "a deadline while server tools run, then a pause": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  run a#1 {}
  run b#1 {}
  6 run.paused paused run.limitExceeded
  start -> paused
  7 run.resumed resume
  8 tool.completed a error 'The tool 'a' was interrupted and was not run again; whether it took effect is unknown.'
  9 tool.started b#2
  run b#2 {}
  10 tool.completed b 'b ran'
  11 model.started again
  text 'ok'
  12 model.completed 'ok'
  13 run.completed success 'ok'
  resume -> success
  """,
  "a call that parks when the client hangs up": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  start -> waiting_client_tool
  """,
  "a call that is given up when the client hangs up": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a error 'Client unavailable. Tool 'a' may or may not have run; its result is unknown.'
  start -> waiting_client_tool
  """,
  "a call that is sent again after the client hung up": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  start -> waiting_client_tool
  """,
  "a call that ends the run when the client hangs up": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a error 'The run ended with an error before this call was answered: the client hung up while the call of 'a' was out'
  8 tool.completed b error 'The run ended with an error before this call was answered: the client hung up while the call of 'a' was out'
  9 run.error error client.disconnected
  cancel a: The run ended with an error before this call was answered: the client hung up while the call of 'a' was out
  cancel b: The run ended with an error before this call was answered: the client hung up while the call of 'a' was out
  start -> error
  """,
  "a client that hangs up while the model is at work": """
  1 run.started
  2 model.started
  start -> running
  """,
  "a client that hangs up while a server tool runs": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  run a#1 {}
  start -> running
  """,
  "a signal while a call is out": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  start -> waiting_client_tool
  """,
  "no more input, and work that goes on without the client": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a error 'Client unavailable. Tool 'a' may or may not have run; its result is unknown.'
  7 run.resumed invoke
  8 model.started again
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """,
]
