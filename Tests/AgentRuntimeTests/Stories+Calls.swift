/// Scenarios with client calls and their timeouts.
let callStories: [String: String] = [
  "a client call by invoke": #"""
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {"x":1}
  6 tool.completed a 'a done'
  7 run.resumed invoke
  8 model.started again
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """#,
  "a client call by submit": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 run.paused waiting_client_tool a#0-parked
  start -> waiting_client_tool
  5 tool.completed a 'a done'
  6 run.resumed submit
  7 model.started again
  text 'ok'
  submit -> running
  8 model.completed 'ok'
  9 run.completed success 'ok'
  """,
  "three client calls, two at a time and one alone": #"""
  1 run.started
  2 model.started
  3 model.completed '' a b a-2 c b-2
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open a-2#0-parked c#0-parked b-2#0-parked
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a 'a done'
  8 tool.started a-2#1
  9 tool.completed b 'b done'
  invoke a-2#1 {"second":true}
  10 tool.completed a-2 'a done'
  11 tool.started c#1
  invoke c#1 {}
  12 tool.completed c 'c done'
  13 tool.started b-2#1
  invoke b-2#1 {}
  14 tool.completed b-2 'b done'
  15 run.resumed invoke
  16 model.started again
  text 'ok'
  17 model.completed 'ok'
  18 run.completed success 'ok'
  start -> success
  """#,
  "results that come one by one": """
  1 run.started
  2 model.started
  3 model.completed '' a b c
  4 run.paused waiting_client_tool a#0-parked b#0-parked c#0-parked
  start -> waiting_client_tool
  5 tool.completed b 'b done'
  submit -> waiting_client_tool
  6 tool.completed a 'a done'
  submit -> waiting_client_tool
  7 tool.completed c 'c done'
  8 run.resumed submit
  9 model.started again
  text 'ok'
  submit -> running
  10 model.completed 'ok'
  11 run.completed success 'ok'
  """,
  "a result that is deferred": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  start -> waiting_client_tool
  6 tool.completed a 'a done'
  7 run.resumed submit
  8 model.started again
  text 'ok'
  submit -> running
  9 model.completed 'ok'
  10 run.completed success 'ok'
  """,
  "errors and answers that are no results": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a error 'it broke'
  8 tool.completed b error 'no'
  9 run.resumed invoke
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  start -> success
  """,
  "structured content, judged by the tool's schema": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a ''
  8 tool.completed b error 'The tool's structuredContent does not fit its outputSchema: /x is required.'
  9 run.resumed invoke
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  start -> success
  """,
  "calls that are refused": #"""
  1 run.started
  2 model.started
  3 model.completed '' a a-2 b b-2 nobody b-3 b-4 b-5
  4 tool.completed a-2 error 'The tool "a" may be called at most 1 times in a run.'
  5 tool.completed b error 'The arguments do not fit the tool's inputSchema: /x is required.'
  6 tool.completed b-2 error 'The arguments are not valid JSON: expected a value at line 1, column 1.'
  7 tool.completed nobody error 'There is no tool named "nobody". Available: a, b.'
  8 tool.completed b-3 error 'The arguments have a member twice, at /x.'
  9 tool.completed b-4 error 'The arguments must be a JSON object.'
  10 tool.completed b-5 error 'The call was cut off by the output limit; it was not run.'
  11 tool.started a#1
  12 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  13 tool.completed a 'a done'
  14 run.resumed invoke
  15 model.started again
  text 'ok'
  16 model.completed 'ok'
  17 run.completed success 'ok'
  start -> success
  """#,
  "other tools from a submit on": #"""
  1 run.started
  2 model.started
  3 model.completed '' a
  4 run.paused waiting_client_tool a#0-parked
  start -> waiting_client_tool
  5 tools.changed z,b
  6 tool.completed a 'a done'
  7 run.resumed submit
  8 model.started again
  submit -> running
  9 model.completed '' b a-2
  10 tool.completed a-2 error 'There is no tool named "a". Available: z, b.'
  11 run.paused waiting_client_tool b#0-parked
  12 tool.completed b 'b done'
  13 run.resumed submit
  14 model.started again
  text 'ok'
  submit -> running
  15 model.completed 'ok'
  16 run.completed success 'ok'
  """#,
  "a timeout after which the model gets the fallback": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a error 'a is away, a!'
  7 run.resumed invoke
  8 model.started again
  cancel a: timeout
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """,
  "a timeout that ends the run": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a error 'The run ended with an error before this call was answered: the client did not answer the call of 'a' in time'
  8 tool.completed b error 'The run ended with an error before this call was answered: the client did not answer the call of 'a' in time'
  9 run.error error tool.timeout
  cancel a: timeout
  cancel b: The run ended with an error before this call was answered: the client did not answer the call of 'a' in time
  start -> error
  """,
  "a timeout that parks the call": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  cancel a: timeout
  start -> waiting_client_tool
  6 tool.started a#2
  invoke a#2 {}
  7 tool.completed a 'at last'
  8 run.resumed invoke
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  resume -> success
  """,
  "parked calls that are sent again one at a time": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open b#0-parked
  invoke a#1 {}
  6 tool.started b#1
  cancel a: timeout
  invoke b#1 {}
  cancel b: timeout
  start -> waiting_client_tool
  7 tool.started a#2
  invoke a#2 {}
  8 tool.completed a 'a at last'
  9 tool.started b#2
  invoke b#2 {}
  10 tool.completed b 'b at last'
  11 run.resumed invoke
  12 model.started again
  text 'ok'
  13 model.completed 'ok'
  14 run.completed success 'ok'
  resume -> success
  """,
  "a timeout after which the call is sent again": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  cancel a: timeout
  6 tool.started a#2
  invoke a#2 {}
  cancel a: timeout
  7 tool.started a#3
  invoke a#3 {}
  8 tool.completed a 'at last'
  9 run.resumed invoke
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  start -> success
  """,
  "a call that is sent again until it is given up": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  cancel a: timeout
  6 tool.started a#2
  invoke a#2 {}
  7 tool.completed a error 'Client unavailable. Tool 'a' may or may not have run; its result is unknown.'
  8 run.resumed invoke
  9 model.started again
  cancel a: timeout
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  start -> success
  """,
  "a call that may not be sent again": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a error 'Client unavailable. Tool 'a' may or may not have run; its result is unknown.'
  7 run.resumed invoke
  8 model.started again
  cancel a: timeout
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """,
]
