/// A value that a command takes: from an option, else the environment, else the configuration file,
/// else its default.
package struct Setting<Value: Sendable>: Sendable {
    /// What help and the parser know of it.
    package let declaration: OptionDeclaration
    let rule: Rule<Value>

    /// A setting from its parts.
    /// - Parameters:
    ///   - name: the option without its dashes: `part-size`.
    ///   - placeholder: what stands for the value in help: `MB`.
    ///   - short: one-letter form.
    ///   - variable: its name in the environment and in the configuration file.
    ///   - defaultText: the value when nobody gives one, as text.
    ///   - defaultNote: what happens without a value, in words, when there is no `defaultText`.
    ///   - isRequired: whether the command cannot do without.
    ///   - isRepeatable: whether it may be given more than once.
    package init(
        _ name: String, _ placeholder: String, _ rule: Rule<Value>, short: Character? = nil,
        variable: String? = nil, default defaultText: String? = nil, defaultNote: String? = nil,
        isRequired: Bool = false, isRepeatable: Bool = false, help: String
    ) {
        self.rule = rule
        declaration = OptionDeclaration(
            name: name, short: short, placeholder: placeholder, variable: variable,
            defaultText: defaultText, defaultNote: defaultNote, isRequired: isRequired,
            isRepeatable: isRepeatable, help: help, ruleText: rule.text, fits: { rule.parse($0) != nil })
    }
}

/// An option without a value: it is there or not.
package struct Flag: Sendable {
    /// What help and the parser know of it.
    package let declaration: OptionDeclaration

    /// A flag from its name without dashes.
    package init(_ name: String, short: Character? = nil, help: String) {
        declaration = OptionDeclaration(
            name: name, short: short, placeholder: nil, variable: nil, defaultText: nil, defaultNote: nil,
            isRequired: false, isRepeatable: false, help: help, ruleText: "", fits: { _ in true })
    }
}

/// One option as the parser and help see it, whatever the type of its value.
package struct OptionDeclaration: Sendable {
    /// Its long form, without the dashes.
    package let name: String
    let short: Character?
    /// Nil for a flag.
    let placeholder: String?
    /// Its name in the environment and in the configuration file.
    package let variable: String?
    let defaultText: String?
    let defaultNote: String?
    let isRequired: Bool
    let isRepeatable: Bool
    let help: String
    let ruleText: String
    let fits: @Sendable (String) -> Bool

    var isFlag: Bool { placeholder == nil }
}

/// A command's argument that is told by its place.
package struct Positional: Sendable {
    let name: String
    let rule: Rule<String>
    let isRequired: Bool
    /// Whether more of the same may follow; for the last one of a command.
    let isRepeatable: Bool
    let help: String

    /// An argument from its name in help.
    package init(
        _ name: String, _ rule: Rule<String>, isRequired: Bool = true, isRepeatable: Bool = false,
        help: String
    ) {
        self.isRepeatable = isRepeatable
        self.name = name
        self.rule = rule
        self.isRequired = isRequired
        self.help = help
    }
}
