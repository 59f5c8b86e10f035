import Console
import Recording

/// Options that the commands on legal holds share.
enum HoldOptions {
    /// The name of a case as the rules of holds have it.
    static let caseRule = Rule<String>(
        "must have 1 to 100 characters, none of them a control character, and no blank at an end"
    ) {
        CaseText.violations(ofCase: $0).isEmpty ? $0 : nil
    }
    /// A reason as the rules of holds have it.
    static let reasonRule = Rule<String>(
        "must have 1 to 500 characters, none of them a control character, and no blank at an end"
    ) {
        CaseText.violations(ofReason: $0).isEmpty ? $0 : nil
    }

    /// Why something is taken out, and for which case: both may be left out.
    static let takenFor = Setting("case", "CASE", caseRule, help: "For which case, for the audit trail")
    static let takenBecause = Setting("reason", "TEXT", reasonRule, help: "Why, for the audit trail")

    /// Both, for the declaration of a command that takes something out.
    static let purpose = [takenFor.declaration, takenBecause.declaration]

    /// What was given of them.
    static func purpose(_ settings: Settings) -> Purpose {
        Purpose(caseName: settings[takenFor], reason: settings[takenBecause])
    }
}
