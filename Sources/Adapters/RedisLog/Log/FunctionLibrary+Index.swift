extension FunctionLibrary {
    /// Values that an ordered subscription keeps beside the log, and the place that they are as of, which
    /// stands among them under the empty name, so that neither is ever there without the other.
    ///
    /// Keys: the values, and with a fence the lease. Arguments: owner and generation, the place or nothing,
    /// how many values follow, each with its key, and then the keys that go.
    static let index = """
        local function index(keys, args)
          if keys[2] then
            local lease = call('HMGET', keys[2], 'owner', 'generation')
            if lease[1] ~= args[1] or lease[2] ~= args[2] then return {0, tonumber(lease[2] or 0)} end
          end
          local last = 4 + 2 * tonumber(args[4])
          if last < #args then must(keys[1], 'HDEL') end
          for at = 5, last, 2 do call('HSET', keys[1], args[at], args[at + 1]) end
          for at = last + 1, #args do call('HDEL', keys[1], args[at]) end
          if args[3] ~= '' then call('HSET', keys[1], '', args[3]) end
          return {1, 0}
        end
        """
}
