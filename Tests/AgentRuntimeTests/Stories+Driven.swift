/// Scenarios with server tools, and those in which somebody steps in.
let drivenStories: [String: String] = [
  "tools of an MCP server, one of which may be called twice": """
  1 run.started
  2 tools.changed s__a,s__b
  3 model.started
  4 model.completed '' s__a s__b
  5 tool.started s__a#1
  6 tool.started s__b#1
  ask s/a {}
  ask s/b {}
  7 tool.completed s__b 'b ran'
  8 tool.completed s__a 'a ran'
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  start -> success
  """,
  "an MCP server that starts at the second attempt, and a tool that it has later": """
  1 run.started
  2 tools.changed c
  3 model.started
  4 model.completed '' s__a
  5 tool.completed s__a error 'There is no tool named "s__a". Available: c. It did not start.'
  6 tools.changed s__a,c
  7 model.started again
  8 model.completed '' s__a-2
  9 tool.started s__a-2#1
  ask s/a {}
  10 tool.completed s__a-2 'a ran'
  11 tools.changed s__a,s__b,c
  12 model.started again
  13 model.completed '' s__b
  14 tool.started s__b#1
  ask s/b {}
  15 tool.completed s__b 'b ran'
  16 model.started again
  text 'ok'
  17 model.completed 'ok'
  18 run.completed success 'ok'
  start -> success
  """,
  "server tools in parallel": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  run a#1 {}
  run b#1 {}
  6 tool.completed b 'b ran'
  7 tool.completed a 'a ran'
  8 model.started again
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """,
  "a server tool that runs alone": """
  1 run.started
  2 model.started
  3 model.completed '' a b c a-2
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a 'a ran'
  6 tool.started b#1
  run b#1 {}
  7 tool.completed b 'b ran'
  8 tool.started c#1
  9 tool.started a-2#1
  run c#1 {}
  run a-2#1 {}
  10 tool.completed c 'c ran'
  11 tool.completed a-2 'a ran'
  12 model.started again
  text 'ok'
  13 model.completed 'ok'
  14 run.completed success 'ok'
  start -> success
  """,
  "a server tool that fails": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a error 'it broke'
  6 model.started again
  text 'ok'
  7 model.completed 'ok'
  8 run.completed success 'ok'
  start -> success
  """,
  "server and client calls in one message": #"""
  1 run.started
  2 model.started
  3 model.completed '' c s nobody t
  4 tool.completed nobody error 'There is no tool named "nobody". Available: s, c, t.'
  5 tool.started s#1
  6 tool.started t#1
  run s#1 {}
  run t#1 {}
  7 tool.completed t 't ran'
  8 tool.completed s 's ran'
  9 tool.started c#1
  10 run.paused waiting_client_tool c#1-open
  invoke c#1 {}
  11 tool.completed c 'c done'
  12 run.resumed invoke
  13 model.started again
  text 'ok'
  14 model.completed 'ok'
  15 run.completed success 'ok'
  start -> success
  """#,
  "a client's result while a server tool runs": """
  1 run.started
  2 model.started
  3 model.completed '' c s
  4 tool.started s#1
  run s#1 {}
  5 tool.completed c 'early'
  submit -> running
  6 tool.completed s 's ran'
  7 model.started again
  text 'ok'
  8 model.completed 'ok'
  9 run.completed success 'ok'
  start -> success
  """,
  "a note while the model is at work makes one more turn": """
  1 run.started
  2 model.started
  3 note.added 'by the way'
  note -> running
  4 model.completed 'hello'
  5 model.started again
  text 'and bye'
  6 model.completed 'and bye'
  7 run.completed success 'and bye'
  start -> success
  """,
  "a note while the run waits": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 run.paused waiting_client_tool a#0-parked
  start -> waiting_client_tool
  5 note.added 'by the way'
  note -> waiting_client_tool
  6 tool.completed a 'a done'
  7 run.resumed submit
  8 model.started again
  text 'ok'
  submit -> running
  9 model.completed 'ok'
  10 run.completed success 'ok'
  """,
  "a pause while the run waits": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 run.paused paused a#1-open
  start -> paused
  pause -> paused
  7 tool.completed a 'a done'
  8 run.resumed resume
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  resume -> success
  """,
  "a pause while the model is at work": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 run.paused paused a#0-parked
  start -> paused
  pause -> paused
  5 run.resumed resume
  6 tool.started a#1
  7 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  8 tool.completed a 'a done'
  9 run.resumed invoke
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  resume -> success
  """,
  "a pause while server tools run": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a 'a ran'
  6 run.paused paused
  start -> paused
  pause -> paused
  7 run.resumed resume
  8 tool.started b#1
  run b#1 {}
  9 tool.completed b 'ran'
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  resume -> success
  """,
  "a cancel while the model is at work": """
  1 run.started
  2 model.started
  text 'hel'
  3 run.cancelled cancelled (enough) partial 'hel'
  start -> cancelled
  cancel -> cancelled
  """,
  "a cancel while calls are out": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  5 tool.started b#1
  6 run.paused waiting_client_tool a#1-open b#1-open
  invoke a#1 {}
  invoke b#1 {}
  7 tool.completed a 'done'
  8 tool.completed b error 'The run was cancelled before this call was answered.'
  9 run.cancelled cancelled
  cancel b: The run was cancelled before this call was answered.
  start -> cancelled
  cancel -> cancelled
  """,
  "a cancel while a server tool runs": """
  1 run.started
  2 model.started
  3 model.completed '' a b
  4 tool.started a#1
  run a#1 {}
  5 tool.completed a error 'The run was cancelled before this call was answered.'
  6 tool.completed b error 'The run was cancelled before this call was answered.'
  7 run.cancelled cancelled
  start -> cancelled
  cancel -> cancelled
  """,
  "a cancel while the run is paused": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 run.paused waiting_client_tool a#0-parked
  start -> waiting_client_tool
  5 run.paused paused a#0-parked
  pause -> paused
  6 tool.completed a error 'The run was cancelled before this call was answered.'
  7 run.cancelled cancelled
  cancel -> cancelled
  """,
  "results that come too late": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 {}
  6 tool.completed a 'a done'
  7 run.resumed submit
  8 model.started again
  cancel a: answered by run.submitToolResults
  text 'ok'
  submit -> running
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  11 tool.resultRejected a terminal
  12 tool.resultRejected nobody terminal
  submit -> run.alreadyTerminal
  """,
]
