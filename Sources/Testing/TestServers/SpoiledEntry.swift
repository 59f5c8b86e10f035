package import Supervision

extension TestRedis {
    /// Appends an entry to a history, in one step, that nobody has ever been able to read.
    /// - Parameters:
    ///   - prefix: of the keys of its partition: `reel:{p003}`.
    ///   - isNamed: whether it says whose it is.
    /// - Returns: its entry id.
    package func addUnreadable(
        database: Int, prefix: String, partitionKey: String, isNamed: Bool
    ) throws(SystemFailure) -> String {
        let script = """
            redis.call('SELECT', ARGV[1])
            local index = ARGV[2] .. ':s:' .. ARGV[3]
            local fields = {'stranger', 'yes'}
            if ARGV[4] == 'true' then
              local sequence = string.format('%012d', redis.call('LLEN', index) + 1)
              fields = {'partitionkey', ARGV[3], 'sequence', sequence, 'time', 'yesterday'}
            end
            local id = redis.call('XADD', ARGV[2] .. ':log', '*', unpack(fields))
            redis.call('RPUSH', index, id)
            return id
            """
        return try run("EVAL", script, "0", "\(database)", prefix, partitionKey, "\(isNamed)")
    }

    /// Changes one entry of a stream, in one step, so that it no longer follows the log's format, or back to
    /// what it was. Its consumer groups stay where they are; what they have pending is forgotten.
    /// - Parameter how: `partly` breaks one field, `wholly` all of them, `mend` brings them back.
    package func spoil(
        database: Int, stream: String, entry: String, _ how: String
    ) throws(SystemFailure) {
        let script = """
            redis.call('SELECT', ARGV[1])
            local key, id, how = ARGV[2], ARGV[3], ARGV[4]
            local kept = 'test:' .. key .. id
            local entries, groups = redis.call('XRANGE', key, '-', '+'), redis.call('XINFO', 'GROUPS', key)
            local found = 0
            for _, entry in ipairs(entries) do
              if entry[1] == id then
                found = found + 1
                local fields = entry[2]
                if how == 'mend' then
                  entry[2] = cjson.decode(redis.call('GET', kept))
                else
                  redis.call('SET', kept, cjson.encode(fields))
                  for at = 1, #fields, 2 do
                    if how == 'wholly' then fields[at] = 'x' .. at end
                    if fields[at] == 'time' then fields[at + 1] = 'yesterday' end
                  end
                end
              end
            end
            local facts = redis.call('XINFO', 'STREAM', key)
            local told = {}
            for at = 1, #facts, 2 do told[facts[at]] = facts[at + 1] end
            redis.call('DEL', key)
            for _, entry in ipairs(entries) do redis.call('XADD', key, entry[1], unpack(entry[2])) end
            redis.call('XSETID', key, told['last-generated-id'], 'ENTRIESADDED', told['entries-added'],
              'MAXDELETEDID', told['max-deleted-entry-id'])
            for _, group in ipairs(groups) do
              redis.call('XGROUP', 'CREATE', key, group[2], group[8])
            end
            return found
            """
        let answer = try run("EVAL", script, "0", "\(database)", stream, entry, how)
        precondition(answer == "1", "the entry \(entry) of \(stream) was not changed: \(answer)")
    }
}
