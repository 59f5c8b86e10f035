/// Every path of the services, one line for each resource.
enum RouteTable {
    static func endpoints(of service: GatewayService, _ core: Core) -> [Endpoint] {
        switch service {
        case .api:
            SessionCollection.endpoints
                + SessionResource.endpoints
                + SessionControl.endpoints
                + HoldResource.endpoints
                + ChunkResource.endpoints(core.settings)
                + Media.endpoints
                + PipelineResource.endpoints
                + StatisticsResource.endpoints
                + EventsResource.endpoints
                + AuditTrailResource.endpoints
        case .pipeline: PipelineManager.endpoints(core.settings)
        case .recorder: RecorderService.endpoints(core.settings)
        }
    }
}
