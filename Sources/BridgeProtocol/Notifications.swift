/// Names of the notifications and of the requests that go the other way.
package enum WireNotification {
  package static let initialized = "notifications/initialized"
  package static let cancelled = "notifications/cancelled"
  /// The same in the words of the Language Server Protocol.
  package static let cancelRequest = "$/cancelRequest"
  package static let progress = "notifications/progress"

  package static let fromClient = [initialized, cancelled, cancelRequest, progress]

  package static let runEvent: StaticString = "run.event"
  package static let sessionEvent: StaticString = "session.event"
  package static let cancelledByBridge: StaticString = "notifications/cancelled"
}

package enum ReverseRequest {
  package static let toolInvoke: StaticString = "tool.invoke"
  package static let createMessage: StaticString = "sampling/createMessage"
  package static let approval: StaticString = "approval.request"
  package static let elicitation: StaticString = "elicitation/create"
}
