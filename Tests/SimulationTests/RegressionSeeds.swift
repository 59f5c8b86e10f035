/// Seeds that have found something, with what it was. They run each time, beside the fixed ones.
///
/// What a seed makes is for the simulation to say: when that changes, put the defects back in one by one,
/// and take the seeds that find them then.
enum RegressionSeeds {
    static let all: [UInt64] = [
        // A session was taken up again before its new owner had handled what stands before the event that
        // it waited for: event 4 came right after event 0.
        7,
        // The same, with two events left out.
        88,
        // A session that failed again in a retry made the projection forget how far it had come: its
        // checkpoint stayed behind for as long as nothing new was recorded.
        14,
        372,
        // Of a session that failed in a retry at a later event, those before that one were left out.
        15,
        32,
        // A member that woke up late set aside what another had taken over.
        526,
        // An owner died between noting where a retry had failed and letting go of where it began: the
        // second place stayed, and asking to try it again was in vain once the session was given up.
        610,
        // A power cut took the setting aside of an event with it, and the witness had counted it.
        237_662_235_205_039,
    ]
}
