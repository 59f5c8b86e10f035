/// A command that ends with a message for whoever called it: what happened, to what, and what to do.
package struct CommandFailure: Error {
    /// How the command ends.
    package let status: ExitStatus
    /// The message.
    package let message: String
    package init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }
}
