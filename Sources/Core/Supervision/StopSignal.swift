internal import Base

/// A flag that goes up once and stays up: "please end". Whoever works in a loop looks at it every turn,
/// whoever waits waits on it.
package final class StopSignal: Sendable {
    private struct State {
        var isSet = false
        var handlers: [@Sendable () -> Void] = []
    }

    private let state = Monitor(State())

    /// A signal that is not set.
    package init() {}

    /// Whether somebody has asked to end.
    package var isSet: Bool { state.withLock { $0.isSet } }

    /// Asks to end; wakes all who wait. Doing it again changes nothing.
    package func set() {
        let handlers = state.update { state in
            state.isSet = true
            defer { state.handlers = [] }
            return state.handlers
        }
        for handler in handlers { handler() }
    }

    /// Blocks for `milliseconds` or until the signal is set, whichever comes first; answers whether it
    /// is set. Call on a thread of your own.
    @discardableResult
    package func wait(milliseconds: Int) -> Bool {
        if let simulated = Machine.simulated {
            return simulated.wait(milliseconds: milliseconds) { isSet }
        }
        return state.wait(milliseconds: milliseconds) { $0.isSet ? true : nil } ?? false
    }

    /// Blocks until the signal is set. Call on a thread of your own.
    package func wait() {
        _ = state.wait { $0.isSet ? true : nil }
    }

    /// Runs `handler` once, on the thread that sets the signal; at once when it is set already.
    /// Handlers must be short and not block.
    package func whenSet(_ handler: @escaping @Sendable () -> Void) {
        let isSet = state.withLock { state in
            if !state.isSet { state.handlers.append(handler) }
            return state.isSet
        }
        if isSet { handler() }
    }
}
