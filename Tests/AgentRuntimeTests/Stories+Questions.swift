/// Scenarios with questions to the user, and the ends of a client that is asked.
let questionStories: [String: String] = [
  "a cancel while an approval and a question are out": #"""
  1 run.started
  2 model.started
  3 model.completed '' g ask_user
  4 approval.requested g
  5 input.requested ask_user 'why?'
  6 run.paused waiting_approval g approval-open ask_user input-open
  ask approval g {}
  ask elicitation ask_user why?
  7 tool.completed g error 'The run was cancelled before this call was answered.'
  8 tool.completed ask_user error 'The run was cancelled before this call was answered.'
  9 run.cancelled cancelled
  withdraw g: The run was cancelled before this call was answered.
  withdraw ask_user: The run was cancelled before this call was answered.
  start -> cancelled
  cancel -> cancelled
  """#,
  "a client that hangs up while it is asked": #"""
  1 run.started
  2 model.started
  3 model.completed '' g ask_user c
  4 approval.requested g
  5 input.requested ask_user 'why?'
  6 tool.started c#1
  7 run.paused waiting_approval g approval-open ask_user input-open c#1-open
  ask approval g {}
  ask elicitation ask_user why?
  invoke c#1 {}
  withdraw g: the client hung up
  withdraw ask_user: the client hung up
  start -> waiting_approval
  """#,
  "a signal while the client is asked": #"""
  1 run.started
  2 model.started
  3 model.completed '' g
  4 approval.requested g
  5 run.paused waiting_approval g approval-open
  ask approval g {}
  withdraw g: the bridge is about to end
  start -> waiting_approval
  """#,
  "no more input while the client is asked": #"""
  1 run.started
  2 model.started
  3 model.completed '' g s
  4 approval.requested g
  5 tool.started s#1
  ask approval g {}
  run s#1 {}
  withdraw g: the client hung up
  6 tool.completed s 's ran'
  7 run.paused waiting_approval g approval-parked
  start -> waiting_approval
  """#,
  "a question that the user answers": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user
  4 input.requested ask_user 'which?'
  5 run.paused waiting_human_input ask_user input-open
  ask elicitation ask_user which?
  6 input.answered ask_user accept client {"answer":"x"}
  7 tool.completed ask_user ''
  8 run.resumed input
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  start -> success
  """#,
  "a question that the user declines": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user
  4 input.requested ask_user 'which?'
  5 run.paused waiting_human_input ask_user input-open
  ask elicitation ask_user which?
  6 input.answered ask_user decline client
  7 tool.completed ask_user error 'The user declined to answer.'
  8 run.resumed input
  9 model.started again
  text 'ok'
  10 model.completed 'ok'
  11 run.completed success 'ok'
  start -> success
  """#,
  "a question that is put off, and answered by submit": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user
  4 input.requested ask_user 'which?'
  5 run.paused waiting_human_input ask_user input-open
  ask elicitation ask_user which?
  6 input.answered ask_user cancel client
  start -> waiting_human_input
  7 input.answered ask_user cancel submit
  submit -> waiting_human_input
  8 input.answered ask_user accept submit {"answer":"x"}
  9 tool.completed ask_user ''
  10 run.resumed submit
  11 model.started again
  text 'ok'
  submit -> running
  12 model.completed 'ok'
  13 run.completed success 'ok'
  """#,
  "a question that nobody can be asked": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user
  4 input.requested ask_user 'which?'
  5 run.paused waiting_human_input ask_user input-parked
  start -> waiting_human_input
  6 input.answered ask_user accept submit {"answer":true}
  7 tool.completed ask_user ''
  8 run.resumed submit
  9 model.started again
  text 'ok'
  submit -> running
  10 model.completed 'ok'
  11 run.completed success 'ok'
  """#,
  "answers that do not answer": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user ask_user-2 ask_user-3 ask_user-4
  4 input.requested ask_user '1'
  5 input.requested ask_user-2 '2'
  6 input.requested ask_user-3 '3'
  7 input.requested ask_user-4 '4'
  8 run.paused waiting_human_input ask_user input-open ask_user-2 input-open ask_user-3 input-open ask_user-4 input-open
  ask elicitation ask_user 1
  ask elicitation ask_user-2 2
  ask elicitation ask_user-3 3
  ask elicitation ask_user-4 4
  start -> waiting_human_input
  ask elicitation ask_user 1
  ask elicitation ask_user-2 2
  ask elicitation ask_user-3 3
  ask elicitation ask_user-4 4
  9 input.answered ask_user accept client {"answer":"x"}
  10 tool.completed ask_user ''
  11 input.answered ask_user-2 accept client {"answer":"x"}
  12 tool.completed ask_user-2 ''
  13 input.answered ask_user-3 accept client {"answer":"x"}
  14 tool.completed ask_user-3 ''
  15 input.answered ask_user-4 accept client {"answer":"x"}
  16 tool.completed ask_user-4 ''
  17 run.resumed input
  18 model.started again
  text 'ok'
  19 model.completed 'ok'
  20 run.completed success 'ok'
  resume -> success
  """#,
  "questions that are no questions": #"""
  1 run.started
  2 model.started
  3 model.completed '' ask_user ask_user-2 ask_user-3 ask_user-4
  4 tool.completed ask_user error 'The arguments do not fit the tool's inputSchema: /question is required.'
  5 tool.completed ask_user-2 error 'Give options or schema, not both.'
  6 tool.completed ask_user-3 error 'The schema at /properties/x/type must be string, number, integer, boolean or array. A form is flat: strings, numbers, integers, booleans and enums.'
  7 tool.completed ask_user-4 error 'options has a choice twice.'
  8 model.started again
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """#,
  "the word for what a run waits for": #"""
  1 run.started
  2 model.started
  3 model.completed '' c ask_user g
  4 input.requested ask_user 'which?'
  5 approval.requested g
  6 run.paused waiting_approval c#0-parked ask_user input-parked g approval-parked
  start -> waiting_approval
  7 approval.decided g approve submit
  8 run.paused waiting_human_input c#0-parked ask_user input-parked g#0-parked
  submit -> waiting_human_input
  9 input.answered ask_user decline submit
  10 tool.completed ask_user error 'The user declined to answer.'
  11 run.paused waiting_client_tool c#0-parked g#0-parked
  submit -> waiting_client_tool
  12 tool.completed c 'c done'
  13 tool.completed g 'g done'
  14 run.resumed submit
  15 model.started again
  text 'ok'
  submit -> running
  16 model.completed 'ok'
  17 run.completed success 'ok'
  """#,
  "all that a run waits for, at once": #"""
  1 run.started
  2 model.started
  3 model.completed '' c ask_user g s
  4 input.requested ask_user 'which?'
  5 approval.requested g
  6 approval.requested s
  7 run.paused waiting_approval c#0-parked ask_user input-parked g approval-parked s approval-parked
  start -> waiting_approval
  8 approval.decided s approve submit
  9 tool.completed c 'c done'
  10 tool.completed g 'g done'
  11 input.answered ask_user accept submit {"answer":"x"}
  12 tool.completed ask_user ''
  13 run.resumed submit
  14 tool.started s#1
  run s#1 {}
  submit -> running
  15 tool.completed s 's ran'
  16 model.started again
  text 'ok'
  17 model.completed 'ok'
  18 run.completed success 'ok'
  """#,
]
