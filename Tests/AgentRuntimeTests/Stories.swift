/// What the client of each scenario sees when nothing disturbs it, by the scenario's name: events with their numbers, streamed text, requests and their
/// cancellations, and the answers to its own requests.
let stories = [answerStories, callStories, drivenStories, endStories, approvalStories, questionStories].reduce(into: [:]) { all, stories in
  all.merge(stories) { first, _ in first }
}
