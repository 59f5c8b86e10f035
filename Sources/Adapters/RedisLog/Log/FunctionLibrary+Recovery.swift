extension FunctionLibrary {
    /// What a stream says of itself: facts by their names, none where there is no stream.
    static let streamFacts = """
        local function stream_facts(log)
          local facts = {}
          if call('EXISTS', log) == 1 then
            local told = call('XINFO', 'STREAM', log)
            for i = 1, #told, 2 do facts[told[i]] = told[i + 1] end
          end
          return facts
        end

        -- Entries that have left a stream, and that should have: what was archived, and what was given up.
        local function departed(facts, archive)
          local told = call('HMGET', archive, 'count', 'lost')
          return (facts['entries-added'] or 0) - (facts['length'] or 0),
            (tonumber(told[1] or 0) or 0) + (tonumber(told[2] or 0) or 0)
        end
        """

    /// Keys log, archive, ranks, checkpoints and segments of a partition. Answers what `PartitionState`
    /// reads.
    static let state = """
        -- Positions that subscriptions beside the log have come to, and that no entry has.
        local function strays(log, saved, through)
          local found = {}
          for i = 1, #saved, 2 do
            local place = saved[i + 1]
            if string.match(place, '^%d+%-%d+$') and before(through, place) then
              -- A number that is too large for an entry id is answered with an error.
              local there = redis.pcall('XRANGE', log, place, place)
              if there.err and not string.find(there.err, 'Invalid stream ID', 1, true) then
                failed(there, 'XRANGE')
              end
              if there.err or #there == 0 then
                found[#found + 1], found[#found + 2] = saved[i], place
              end
            end
          end
          return found
        end

        local function state(keys, args)
          local facts = stream_facts(keys[1])
          local first = facts['first-entry']
          local archive = call('HMGET', keys[2], 'through', 'count', 'hash', 'lost', 'stuck')
          local trimmed = call('ZSCORE', keys[3], 'trimmed')
          local milestone = call('ZREVRANGEBYSCORE', keys[3], '+inf', '0', 'LIMIT', '0', '1')[1]
          return {facts['length'] or 0, facts['entries-added'] or 0, facts['last-generated-id'] or '',
            first and first[1] or '', archive[1] or '', archive[2] or '', archive[3] or '',
            archive[4] or '', trimmed and string.format('%d', -trimmed) or '', archive[5] or '',
            strays(keys[1], call('HGETALL', keys[4]), archive[1] or '0-0'), milestone or '',
            call('LINDEX', keys[5], -1) or ''}
        end
        """

    /// Key log; arguments entry ids. Answers those that are not in the stream.
    static let absent = """
        local function absent(keys, args)
          local missing = {}
          for _, entry in ipairs(args) do
            if #call('XRANGE', keys[1], entry, entry) == 0 then missing[#missing + 1] = entry end
          end
          return missing
        end
        """

    /// Keys index and ids of partition keys; arguments for each a sequence and the entry that stands there.
    /// Answers the numbers of those of which that is not so.
    static let indexed = """
        local function indexed(keys, args)
          local wrong = {}
          for i = 1, #args, 2 do
            local base, odd = base_of(keys[i + 1])
            if odd then return redis.error_reply(odd) end
            local at = tonumber(args[i]) - (base or 0)
            if at > 0 and call('LINDEX', keys[i], at - 1) ~= args[i + 1] then
              wrong[#wrong + 1] = (i + 1) / 2
            end
          end
          return wrong
        end
        """

    /// Puts events back that the archive has behind the stream's end.
    ///
    /// Keys log, ranks, archive, and index and ids of each partition key; arguments the newest entry that the
    /// stream ever had, up to where it was archived, how many events, and for each event the number of its
    /// partition key, the key, the entry, the sequence, and what reel_append_all is told of an event.
    /// Answers {0, n}; {2} when the stream or its archive is not as expected; {1, key, version, sequence}
    /// when an event does not follow what the server has of its key; {5, text} as reel_append_all. Everything
    /// is checked before anything is written.
    static let takeBack = """
        local function take_back(keys, args)
          local n, width = tonumber(args[3]), FIELDS_PER_EVENT + 4
          if not n or n < 1 or #args ~= 3 + n * width then return misfit() end
          local last = stream_facts(keys[1])['last-generated-id'] or '0-0'
          if last ~= args[1] or (call('HGET', keys[3], 'through') or '0-0') ~= args[2] then return {2} end
          local book, versions = ledger(), {}
          for i = 1, n do
            local at = 4 + (i - 1) * width
            local place = 2 + 2 * tonumber(args[at])
            local index, ids, sequence = keys[place], keys[place + 1], tonumber(args[at + 3])
            if not versions[ids] then
              local base, overwritten = base_of(ids)
              if overwritten then return {5, overwritten} end
              local version, odd = meet(call, book, index, ids, base)
              if odd then return odd end
              versions[ids] = version
            end
            if sequence ~= versions[ids] + 1 then return {1, args[at + 1], versions[ids], sequence} end
            versions[ids] = sequence
          end
          keys.log, keys.ranks = keys[1], keys[2]
          ready(keys, keys[4], keys[5], true)
          ready_milestone(keys)
          for i = 1, n do
            local at = 4 + (i - 1) * width
            local ids = keys[3 + 2 * tonumber(args[at])]
            local entry = write(
                call, keys[1], args[at + 1], args, at + 4, tonumber(args[at + 3]), args[at + 2])
            note(book, ids, args[at + 4], args[at + 5], tonumber(args[at + 3]), entry)
            if string.byte(args[at + 4]) == 0 then milestone(call, keys[2], keys[1], entry) end
          end
          finish(call, book)
          return {0, n}
        end
        """

    /// Puts right what a partition says of its archive. Keys archive, ranks, log; arguments what it should
    /// say: up to where, entries, hash; behind them the newest entry that the stream ever had and how many
    /// entries have left it, which must be so still.
    static let mend = """
        local function mend(keys, args)
          local facts = stream_facts(keys[3])
          local gone = (facts['entries-added'] or 0) - (facts['length'] or 0)
          if (facts['last-generated-id'] or '0-0') ~= args[4] or gone ~= tonumber(args[5]) then return 0 end
          must(keys[2], 'ZADD', 'ZSCORE')
          call('HSET', keys[1], 'through', args[1], 'count', args[2], 'hash', args[3], 'shrunk', '0-0')
          call('ZADD', keys[2], '-' .. args[2], 'trimmed')
          if not call('ZSCORE', keys[2], 'evicted') then
            call('ZADD', keys[2], '-' .. args[2], 'evicted')
          end
          return 1
        end
        """

    /// Accepts that entries are lost: what is left counts as all that there should be. Keys log, archive,
    /// ranks, segments; arguments the newest position that anybody knows of.
    ///
    /// The stream counts on from there, and gives no entry an id that was given before.
    static let acceptLoss = """
        local function accept_loss(keys, args)
          local facts = stream_facts(keys[1])
          must(keys[1], 'XSETID')
          must(keys[2], 'HGET', 'HSET')
          must(keys[3], 'ZREMRANGEBYSCORE', 'ZREM', 'ZADD')
          must(keys[4], 'LINDEX', 'DEL')
          if not facts['length'] then
            call('XGROUP', 'CREATE', keys[1], 'reel:empty', '0', 'MKSTREAM')
            call('XGROUP', 'DESTROY', keys[1], 'reel:empty')
            facts = stream_facts(keys[1])
          end
          local through = call('HGET', keys[2], 'through') or '0-0'
          local last = facts['last-generated-id']
          if before(last, through) then last = through end
          if before(last, args[1]) then last = args[1] end
          local count = tonumber(call('HGET', keys[2], 'count') or 0) or 0
          local lost = tonumber(call('HGET', keys[2], 'lost') or 0) or 0
          local gone = facts['entries-added'] - facts['length']
          if gone > count + lost then
            call('HSET', keys[2], 'lost', string.format('%d', gone - count))
          end
          local added = math.max(facts['entries-added'], facts['length'] + count + lost)
          call('XSETID', keys[1], last, 'ENTRIESADDED', string.format('%d', added), 'MAXDELETEDID',
            facts['max-deleted-entry-id'] or '0-0')
          -- Ranks were counted from another beginning.
          call('ZREMRANGEBYSCORE', keys[3], 0, '+inf')
          call('ZREM', keys[3], 'trimmed')
          if count > 0 then call('ZADD', keys[3], string.format('-%d', count), 'trimmed') end
          -- Records of segments that lead beyond what is archived lead nowhere.
          local record = call('LINDEX', keys[4], -1)
          if record and before(through, string.match(record, '^%S+ (%S+)') or '0-0') then
            call('DEL', keys[4])
          end
          return 1
        end
        """
}
