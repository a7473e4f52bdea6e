/// What the client of each scenario sees when nothing disturbs it, by the scenario's name: events with their numbers, streamed text, requests and their
/// cancellations, and the answers to its own requests.
let stories = answerStories.merging(callStories) { first, _ in first }.merging(drivenStories) { first, _ in first }.merging(endStories) {
  first, _ in first
}
