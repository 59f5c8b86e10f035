package import Engine
package import EventSourcing
package import Gateway
internal import HTTPServer
internal import Pipeline
internal import Recording

/// The gateway's followers on the process's one reader of the log.
package struct FeedFollowing: EventFollowing {
    private let feed: LiveFeed

    /// Followers of this feed.
    package init(_ feed: LiveFeed) { self.feed = feed }

    private struct Follower: FollowedEvents {
        let follower: LiveFollower

        func take(limit: Int) -> FollowedBatch {
            switch follower.take(limit: limit) {
            case .items(let items):
                return .events(
                    items.map { item in
                        let event = item.event
                        let isHole = event.type == LiveEvent.unreadableType
                        let type = isHole ? FollowedEvent.unreadableType : event.type
                        let frame = event.sent(as: item.id) {
                            EventStream.frame(data: event.json, id: item.id, event: type)
                        }
                        return FollowedEvent(
                            type: type, sequence: event.sequence, id: item.id, json: event.json, frame: frame)
                    })
            case .ended(let end):
                switch end {
                case .cancelled, .stopping: return .ended(.stopping)
                case .unknownPlace: return .ended(.unknownPlace)
                case .failed: return .ended(.failed)
                }
            }
        }

        func cancel() { follower.cancel() }
    }

    /// See `EventFollowing`.
    package func follow(
        _ scope: FollowScope, from start: FollowStart, onReady: @escaping @Sendable () -> Void
    ) throws(FollowRefusal) -> any FollowedEvents {
        let filter =
            switch scope {
            // A record of the audit trail is no session's event, whatever id somebody asks for.
            case .session(let id): LiveFilter(.history(id), hiding: AuditRecord.isHistory)
            case .everything(let includesAudit): Self.everything(includesAudit)
            }
        let place: LiveStart =
            switch start {
            case .beginning: .beginning
            case .now: .now
            case .after(let id): .after(id)
            }
        do throws(LiveRefusal) {
            return Follower(follower: try feed.follow(filter, from: place, onReady: onReady))
        } catch {
            switch error {
            case .unknownID: throw .unknownPlace
            case .tooMany: throw .tooMany
            case .unavailable: throw .unavailable
            }
        }
    }

    /// Records of the audit trail are for those alone who may read them.
    private static func everything(_ includesAudit: Bool) -> LiveFilter {
        includesAudit ? LiveFilter(.everything) : LiveFilter(.everything, hiding: AuditRecord.isHistory)
    }

    /// See `EventFollowing`.
    package func page(
        after place: String?, limit: Int, includesAudit: Bool, from store: any EventStore
    ) throws(LogFailure) -> FollowedPage? {
        try LiveHistory.page(after: place, limit: limit, filter: Self.everything(includesAudit), from: store)
            .map {
                FollowedPage(
                    events: $0.events, unreadable: $0.unreadable, place: $0.place, hasMore: $0.hasMore)
            }
    }
}
