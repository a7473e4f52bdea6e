/// Scenarios without tools.
let answerStories: [String: String] = [
  "a plain answer": """
  1 run.started
  2 model.started
  text 'hello'
  3 model.completed 'hello'
  4 run.completed success 'hello'
  start -> success
  """,
  "an answer that was cut by the model's output limit": """
  1 run.started
  2 model.started
  text 'hel'
  3 model.completed 'hel'
  4 run.completed success 'hel'
  start -> success
  """,
  "what the model refuses": """
  1 run.started
  2 model.started
  text 'no'
  3 model.completed 'no'
  4 run.completed success 'no'
  start -> success
  """,
  "messages with roles, metadata and a trace": """
  1 run.started
  2 model.started
  text 'four'
  3 model.completed 'four'
  4 run.completed success 'four'
  start -> success
  """,
  "a provider that tries again": """
  1 run.started
  2 model.started
  text 'lost'
  3 model.retried #1
  text 'hello'
  4 model.completed 'hello'
  5 run.completed success 'hello'
  start -> success
  """,
  "a model that is unavailable pauses the run": """
  1 run.started
  2 model.started
  3 run.paused paused model.unavailable
  start -> paused
  """,
  "a model that is unavailable ends the run if so asked": """
  1 run.started
  2 model.started
  3 run.error error model.unavailable
  start -> error
  """,
  "what the provider rejects ends the run": """
  1 run.started
  2 model.started
  3 run.error error model.rejected
  start -> error
  """,
  "an answer that fits its schema at the second try": #"""
  1 run.started
  2 model.started
  text '{}'
  3 model.completed '{}'
  4 model.started again
  text '{"a":1}'
  5 model.completed '{"a":1}'
  6 run.completed success '{"a":1}'
  start -> success
  """#,
  "an answer that never fits its schema": """
  1 run.started
  2 model.started
  text '{}'
  3 model.completed '{}'
  4 model.started again
  text 'no JSON'
  5 model.completed 'no JSON'
  6 model.started again
  text '[]'
  7 model.completed '[]'
  8 run.error error model.invalidOutput
  start -> error
  """,
  "values that are stored once": """
  1 run.started
  2 model.started
  text 'string of 100002'
  3 model.completed 'string blob of 100000' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 object of 81008
  6 tool.completed a 'string blob of 70000'
  7 run.resumed invoke
  8 model.started again
  text 'string of 140002'
  9 model.completed 'string blob of 140000'
  10 run.completed success 'string blob of 140000'
  start -> success
  """,
  "a member that is called as a blob is": """
  1 run.started
  2 model.started
  3 model.completed '' a
  4 tool.started a#1
  5 run.paused waiting_client_tool a#1-open
  invoke a#1 string blob of 1
  6 tool.completed a ''
  7 run.resumed invoke
  8 model.started again
  text 'ok'
  9 model.completed 'ok'
  10 run.completed success 'ok'
  start -> success
  """,
]
