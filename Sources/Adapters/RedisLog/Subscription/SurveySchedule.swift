/// When a member looks after the others: a state machine without I/O.
struct SurveySchedule {
    /// What is due.
    struct Due: Equatable {
        /// Look for entries of members that are gone.
        var orphans = false
        /// Look for entries that a live member has held for too long, and show which ones wait here.
        var stalled = false
        /// Remove the names of members that are gone and have nothing pending.
        var names = false
    }

    private let surveyMilliseconds: Int
    private let stalledMilliseconds: Int
    private let namesMilliseconds = 10_000
    private(set) var nextSurvey = 0
    private var nextStalled = 0
    private var nextNames = 0

    init(surveyMilliseconds: Int, processingMilliseconds: Int) {
        self.surveyMilliseconds = max(10, surveyMilliseconds)
        stalledMilliseconds = max(100, processingMilliseconds / 6)
    }

    /// Answers what is due and sets the next times; jitter keeps members from moving in step.
    mutating func due(at now: Int, using generator: inout some RandomNumberGenerator) -> Due {
        guard now >= nextSurvey else { return Due() }
        var due = Due(orphans: true)
        nextSurvey =
            now + Int.random(in: surveyMilliseconds * 3 / 4...surveyMilliseconds * 5 / 4, using: &generator)
        if now >= nextStalled {
            due.stalled = true
            nextStalled = now + stalledMilliseconds
        }
        if now >= nextNames {
            due.names = true
            nextNames = now + namesMilliseconds
        }
        return due
    }

    /// There was more to take over than room for it: look again at once.
    mutating func again() { nextSurvey = 0 }
}
