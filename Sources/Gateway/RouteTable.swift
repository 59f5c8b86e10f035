/// Every path of the API, one line for each resource.
enum RouteTable {
    static func endpoints(_ core: Core) -> [Endpoint] {
        SessionCollection.endpoints
            + SessionResource.endpoints
            + SessionControl.endpoints
            + ChunkResource.endpoints(core.settings)
            + Media.endpoints
            + PipelineResource.endpoints
            + StatisticsResource.endpoints
            + EventsResource.endpoints
            + AuditTrailResource.endpoints
    }
}
