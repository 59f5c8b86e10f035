internal import Console
import EventSourcing
import RedisLog
import Supervision

/// Ends this process where others of its log host domains that it lacks.
struct HostedDomainsService: Service {
    let name = "domains"
    private let system: OpenSystem

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        let hosted = system.log.hostedCategories()
        repeat {
            let lacking: [EventSourcing.Category]
            do throws(LogFailure) {
                lacking = try hosted.lacking(Domains.categories)
                // A failover or an older copy of the server's data may have taken it away.
                if lacking.isEmpty, try !hosted.unsaid(Domains.categories).isEmpty {
                    _ = try hosted.add(Domains.categories)
                }
            } catch {
                // A log that cannot be asked is told of by those who need it.
                system.report(.debug, name, "\(error)")
                continue
            }
            if !lacking.isEmpty { throw RedisHostedCategories.failure(lacking) }
        } while !stop.wait(milliseconds: RedisHostedCategories.lookMilliseconds)
    }
}
