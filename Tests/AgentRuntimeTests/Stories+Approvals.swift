/// Scenarios with approvals.
let approvalStories: [String: String] = [
  "a client call that the client approves": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {"x":1}
  6 approval.decided g approve client
  7 tool.started g#1
  8 run.paused waiting_client_tool g#1-open
  invoke g#1 {"x":1}
  9 tool.completed g 'g done'
  10 run.resumed invoke
  11 model.started again
  text 'ok'
  12 model.completed 'ok'
  13 run.completed success 'ok'
  start -> success
  """#,
  "a server call that the client approves": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {"x":1}
  6 approval.decided g approve client
  7 run.resumed approval
  8 tool.started g#1
  run g#1 {"x":1}
  9 tool.completed g 'g ran'
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  start -> success
  """#,
  "a server call that may run twice, approved": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {}
  6 approval.decided g approve client
  7 run.resumed approval
  8 tool.started g#1
  run g#1 {}
  9 tool.completed g 'g ran'
  10 model.started again
  text 'ok'
  11 model.completed 'ok'
  12 run.completed success 'ok'
  start -> success
  """#,
  "calls that the client denies": #"""
  1 run.started
  2 model.started
  3 model.completed '' g h
  4 approval.requested g
  5 approval.requested h
  6 run.paused waiting_approval g approval-open h approval-open
  ask approval g {}
  ask approval h {}
  7 approval.decided g deny client not today
  8 tool.completed g error 'The user denied this call: not today'
  9 approval.decided h deny client
  10 tool.completed h error 'The user denied this call. It was not run.'
  11 run.resumed approval
  12 model.started again
  text 'ok'
  13 model.completed 'ok'
  14 run.completed success 'ok'
  start -> success
  """#,
  "other calls do not wait for an approval": #"""
  1 run.started
  2 model.started
  3 model.completed '' g h c s
  4 approval.requested g
  5 approval.requested h
  6 tool.started s#1
  ask approval g {}
  ask approval h {}
  run s#1 {}
  7 tool.completed s 's ran'
  8 tool.started c#1
  9 run.paused waiting_approval g approval-open h approval-open c#1-open
  invoke c#1 {}
  10 tool.completed c 'c done'
  11 approval.decided g approve client
  12 tool.started g#1
  invoke g#1 {}
  13 approval.decided h approve client
  14 run.resumed approval
  15 tool.started h#1
  run h#1 {}
  16 tool.completed g 'g done'
  17 tool.completed h 'h ran'
  18 model.started again
  text 'ok'
  19 model.completed 'ok'
  20 run.completed success 'ok'
  start -> success
  """#,
  "an approval by submit": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-parked
  start -> waiting_approval
  6 approval.decided g approve submit
  7 run.paused waiting_client_tool g#0-parked
  submit -> waiting_client_tool
  8 tool.completed g 'g done'
  9 run.resumed submit
  10 model.started again
  text 'ok'
  submit -> running
  11 model.completed 'ok'
  12 run.completed success 'ok'
  """#,
  "an approval by submit, then an invoke": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-parked
  start -> waiting_approval
  6 approval.decided g approve submit
  7 tool.started g#1
  8 run.paused waiting_client_tool g#1-open
  invoke g#1 {}
  submit -> waiting_client_tool
  9 tool.completed g 'g done'
  10 run.resumed invoke
  11 model.started again
  text 'ok'
  12 model.completed 'ok'
  13 run.completed success 'ok'
  """#,
  "a decision by submit takes back what the client is asked": #"""
  1 run.started
  2 model.started
  3 model.completed '' g h
  4 approval.requested g
  5 approval.requested h
  6 run.paused waiting_approval g approval-open h approval-open
  ask approval g {}
  ask approval h {}
  7 approval.decided g deny submit no
  8 tool.completed g error 'The user denied this call: no'
  9 approval.decided h approve submit
  10 run.resumed submit
  11 tool.started h#1
  withdraw g: decided elsewhere
  withdraw h: decided elsewhere
  run h#1 {}
  submit -> running
  12 tool.completed h 'h ran'
  13 model.started again
  text 'ok'
  14 model.completed 'ok'
  15 run.completed success 'ok'
  start -> success
  """#,
  "other arguments than the model's": #"""
  1 run.started
  2 model.started
  3 model.completed '' g h i
  4 approval.requested g
  5 approval.requested h
  6 approval.requested i
  7 run.paused waiting_approval g approval-open h approval-open i approval-open
  ask approval g {"x":1}
  ask approval h {"x":1}
  ask approval i {"x":1}
  8 approval.decided g approve client {"x":2}
  9 tool.started g#1
  10 approval.decided h approve client {"x":2}
  11 run.resumed approval
  12 tool.started h#1
  13 approval.decided i approve client {"x":1}
  invoke g#1 {"x":2}
  run h#1 {"x":2}
  14 tool.completed g 'g done'
  15 tool.completed h 'h ran'
  16 tool.started i#1
  17 run.paused waiting_client_tool i#1-open
  invoke i#1 {"x":1}
  18 tool.completed i 'i done'
  19 run.resumed invoke
  20 model.started again
  text 'ok'
  21 model.completed 'ok'
  22 run.completed success 'ok'
  start -> success
  """#,
  "an approval for the session": #"""
  1 run.started
  2 model.started
  3 model.completed '' g g-2 h
  4 approval.requested g
  5 approval.requested g-2
  6 approval.requested h
  7 run.paused waiting_approval g approval-open g-2 approval-open h approval-open
  ask approval g {}
  ask approval g-2 {"second":true}
  ask approval h {}
  8 approval.decided g approve client session
  9 approval.decided g-2 approve scope
  10 tool.started g#1
  11 tool.started g-2#1
  withdraw g-2: an earlier decision covers this call
  invoke g#1 {}
  invoke g-2#1 {"second":true}
  12 tool.completed g 'g done'
  13 tool.completed g-2 'g done'
  14 approval.decided h deny client never session
  15 tool.completed h error 'The user denied this call: never'
  16 run.resumed approval
  17 model.started again
  18 model.completed '' g-3 h-2
  19 approval.decided g-3 approve scope
  20 approval.decided h-2 deny scope
  21 tool.completed h-2 error 'The user denied every call of this tool: never'
  22 tool.started g-3#1
  23 run.paused waiting_client_tool g-3#1-open
  invoke g-3#1 {}
  24 tool.completed g-3 'g done'
  25 run.resumed invoke
  26 model.started again
  text 'ok'
  27 model.completed 'ok'
  28 run.completed success 'ok'
  start -> success
  """#,
  "an approval that comes too late": #"""
  1 run.started
  2 model.started
  3 model.completed '' g c
  4 approval.requested g
  5 tool.started c#1
  6 run.paused waiting_approval g approval-open c#1-open
  ask approval g {}
  invoke c#1 {}
  7 tool.completed c 'c done'
  8 approval.decided g deny expiry
  9 tool.completed g error 'This call was denied: nobody approved it in time. It was not run.'
  10 run.resumed approval
  11 model.started again
  withdraw g: the approval did not come in time
  text 'ok'
  12 model.completed 'ok'
  13 run.completed success 'ok'
  start -> success
  """#,
  "answers that are no decisions": #"""
  1 run.started
  2 model.started
  3 model.completed '' g h i j k
  4 approval.requested g
  5 approval.requested h
  6 approval.requested i
  7 approval.requested j
  8 approval.requested k
  9 run.paused waiting_approval g approval-open h approval-open i approval-open j approval-open k approval-open
  ask approval g {}
  ask approval h {}
  ask approval i {}
  ask approval j {"x":1}
  ask approval k {}
  start -> waiting_approval
  ask approval g {}
  ask approval h {}
  ask approval i {}
  ask approval j {"x":1}
  ask approval k {}
  10 approval.decided g approve client
  11 tool.started g#1
  12 approval.decided h approve client
  13 tool.started h#1
  14 approval.decided i approve client
  15 tool.started i#1
  16 approval.decided j approve client
  17 tool.started j#1
  18 approval.decided k approve client
  19 tool.started k#1
  20 run.paused waiting_client_tool g#1-open h#1-open i#1-open j#1-open k#1-open
  invoke g#1 {}
  invoke h#1 {}
  invoke i#1 {}
  invoke j#1 {"x":1}
  invoke k#1 {}
  21 tool.completed g 'g done'
  22 tool.completed h 'h done'
  23 tool.completed i 'i done'
  24 tool.completed j 'j done'
  25 tool.completed k 'k done'
  26 run.resumed invoke
  27 model.started again
  text 'ok'
  28 model.completed 'ok'
  29 run.completed success 'ok'
  resume -> success
  """#,
  "a result that stands for an approval": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {}
  6 tool.completed g 'g done'
  7 run.resumed submit
  8 model.started again
  withdraw g: answered by run.submitToolResults
  text 'ok'
  submit -> running
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """#,
  "a call that is refused never asks": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 tool.completed g error 'The arguments do not fit the tool's inputSchema: /x is required.'
  5 model.started again
  text 'ok'
  6 model.completed 'ok'
  7 run.completed success 'ok'
  start -> success
  """#,
  "a pause before an approval is asked for": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 run.paused paused g approval-parked
  start -> paused
  pause -> paused
  5 run.resumed resume
  6 approval.requested g
  7 run.paused waiting_approval g approval-open
  ask approval g {}
  8 approval.decided g approve client
  9 run.resumed approval
  10 tool.started g#1
  run g#1 {}
  11 tool.completed g 'g ran'
  12 model.started again
  text 'ok'
  13 model.completed 'ok'
  14 run.completed success 'ok'
  resume -> success
  """#,
  "a pause while an approval is out": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {}
  6 run.paused paused g approval-open
  start -> paused
  pause -> paused
  7 approval.decided g approve client
  8 run.resumed resume
  9 tool.started g#1
  run g#1 {}
  10 tool.completed g 'g ran'
  11 model.started again
  text 'ok'
  12 model.completed 'ok'
  13 run.completed success 'ok'
  resume -> success
  """#,
]
