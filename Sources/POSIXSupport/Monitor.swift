#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A value that one thread at a time may touch, and a condition to wait for on it.
///
/// Built on pthreads and not on Swift's `Mutex`, because ThreadSanitizer understands the former everywhere and Mutex has no condition.
@safe package final class Monitor<Value: ~Copyable>: @unchecked Sendable {
  // Unchecked, because: `value` is touched only between `lock.lock()` and `lock.unlock()`, and enters and leaves by `sending`.
  @usableFromInline let lock = ConditionLock()
  /// Elsewhere than in the object, where each access would be checked for another one that the lock rules out.
  @usableFromInline let value: UnsafeMutablePointer<Value>

  package init(_ value: consuming sending Value) {
    unsafe self.value = .allocate(capacity: 1)
    unsafe self.value.initialize(to: value)
  }

  deinit {
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
  }

  /// Keep it short, call nothing that locks or waits, resume nothing inside.
  @inlinable package func withLock<R: ~Copyable, E>(_ body: (inout sending Value) throws(E) -> sending R) throws(E) -> sending R {
    lock.lock()
    defer { lock.unlock() }
    return try unsafe body(&value.pointee)
  }

  /// `withLock`, and then wakes all who wait; after unlocking, so that they do not wake into a closed door.
  @inlinable package func update<R: ~Copyable, E>(_ body: (inout sending Value) throws(E) -> sending R) throws(E) -> sending R {
    defer { lock.wakeAll() }
    return try withLock(body)
  }

  /// Wakes all who wait: for a change made in `withLock`.
  @inlinable package func wakeAll() { lock.wakeAll() }

  /// Tries `body` now and after each change until it answers; nil when the deadline passes first.
  ///
  /// `deadline` is in `Clock.monotonicMilliseconds()`.
  @inlinable package func wait<R>(untilMilliseconds deadline: Int? = nil, _ body: (inout sending Value) -> sending R?) -> sending R? {
    lock.lock()
    defer { lock.unlock() }
    while true {
      if let answer = unsafe body(&value.pointee) { return answer }
      guard lock.wait(untilMilliseconds: deadline) else { return unsafe body(&value.pointee) }
    }
  }
}

/// A pthread mutex and its condition, at an address that never changes.
@usableFromInline @safe final class ConditionLock: @unchecked Sendable {
  // Unchecked, because: both pointers are constants, and what they point to is made for threads.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  @usableFromInline init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    unsafe pthread_mutex_init(mutex, nil)
    #if canImport(Glibc)
      var attributes = pthread_condattr_t()
      unsafe pthread_condattr_init(&attributes)
      unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      unsafe pthread_cond_init(condition, &attributes)
      unsafe pthread_condattr_destroy(&attributes)
    #else
      unsafe pthread_cond_init(condition, nil)
    #endif
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  @usableFromInline func lock() { unsafe pthread_mutex_lock(mutex) }
  @usableFromInline func unlock() { unsafe pthread_mutex_unlock(mutex) }
  @usableFromInline func wakeAll() { unsafe pthread_cond_broadcast(condition) }

  /// False when the deadline has passed. Wakes for no reason now and then, as conditions do.
  @usableFromInline func wait(untilMilliseconds deadline: Int?) -> Bool {
    guard let deadline else {
      unsafe pthread_cond_wait(condition, mutex)
      return true
    }
    #if canImport(Glibc)
      var time = timespec(tv_sec: deadline / 1000, tv_nsec: deadline % 1000 * 1_000_000)
      return unsafe pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
    #else
      let rest = max(0, deadline - Clock.monotonicMilliseconds())
      var time = timespec(tv_sec: rest / 1000, tv_nsec: rest % 1000 * 1_000_000)
      return unsafe pthread_cond_timedwait_relative_np(condition, mutex, &time) != ETIMEDOUT
    #endif
  }
}
