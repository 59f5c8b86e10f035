extension FunctionLibrary {
    /// What makes room in the server for what the archive holds.
    ///
    /// A partition's hash `archive` says how far it was trimmed. Two members of its sorted set of ranks are
    /// counters, kept there so that an append needs no further key; their scores are negative, before all
    /// milestones: `trimmed`, the entries that are gone, and `evicted`, how often a partition key lost its
    /// index and ids because all of its events are archived.
    ///
    /// A key that the server knows nothing of may be new, or evicted. Once anything was evicted an append to
    /// such a key is answered with {4, evicted}: the caller looks into the archive, and either asserts that
    /// there is nothing (`reel_append_new`), or brings version and ids back (`reel_restore`). Both name the
    /// counter that the look was based on, and are refused when it has moved since. So an id is never
    /// forgotten, however long ago its event was archived.
    ///
    /// reel_holds and reel_trim are told the groups and checkpoints that must be there: a group that
    /// vanished has acknowledged nothing. Keys: log, archive, ranks, checkpoints, and for each group what it
    /// has parked; for reel_trim also the list of segments' records, with the new one as the last argument.
    ///
    /// reel_record_segments puts records in place that were found by reading the segments, unless more was
    /// trimmed meanwhile.
    static let archive = """
        local function append_new(keys, args)
          local looked = tonumber(table.remove(args, 1))
          return append(keys, args, looked)
        end

        local function restore(keys, args)
          if evicted(keys[3]) ~= tonumber(args[1]) then return 0 end
          if call('EXISTS', keys[1], keys[2]) > 0 then return 0 end
          must(keys[2], 'EXPIRE')
          call('HSET', keys[2], 'b', args[2])
          for i = 3, #args, 1000 do
            call('HSET', keys[2], unpack(args, i, math.min(i + 999, #args)))
          end
          -- When no append follows, it goes again by itself: it says nothing that the archive does not.
          call('EXPIRE', keys[2], 600)
          return 1
        end
        """

    /// Which of two entry ids comes first.
    static let order = """
        local function parts(entry)
          local milliseconds, counter = string.match(entry, '^(%d+)%-(%d+)$')
          return tonumber(milliseconds or 0), tonumber(counter or 0)
        end

        local function before(a, b)
          local am, ac = parts(a)
          local bm, bc = parts(b)
          return am < bm or (am == bm and ac < bc)
        end
        """

    /// What keeps entries in a stream.
    static let holds = """
        local function group_holds(list, keys, facts, parked)
          if not parked then
            list[#list + 1] = {'unexpected group', facts.name, '0-0', 0}
            return
          end
          list[#list + 1] = {'group', facts.name, facts['last-delivered-id'], 0}
          if facts.pending > 0 then
            local first = call('XPENDING', keys[1], facts.name)[2]
            list[#list + 1] = {'pending entry', facts.name, first, 1}
          end
          local lowest
          for _, entry in ipairs(call('HKEYS', parked)) do
            if not lowest or before(entry, lowest) then lowest = entry end
          end
          if lowest then list[#list + 1] = {'parked event', facts.name, lowest, 1} end
        end

        local function find_holds(keys, args, at)
          local list, parked = {}, {}
          local groups = tonumber(args[at])
          for i = 1, groups do parked[args[at + i]] = keys[4 + i] end
          local newest = call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)[1]
          if not newest then return {{'empty', 'log', '0-0', 0}} end
          list[1] = {'newest event', 'log', newest[1], 1}
          for _, pairs_of in ipairs(call('XINFO', 'GROUPS', keys[1])) do
            local facts = {}
            for i = 1, #pairs_of, 2 do facts[pairs_of[i]] = pairs_of[i + 1] end
            group_holds(list, keys, facts, parked[facts.name])
            parked[facts.name] = nil
          end
          for i = 1, groups do
            local name = args[at + i]
            if parked[name] then list[#list + 1] = {'missing group', name, '0-0', 0} end
          end
          local saved = call('HGETALL', keys[4])
          local known = {}
          for i = 1, #saved, 2 do
            known[saved[i]] = true
            list[#list + 1] = {'checkpoint', saved[i], saved[i + 1], 0}
          end
          at = at + groups + 1
          for i = 1, tonumber(args[at]) do
            local name = args[at + i]
            if not known[name] then list[#list + 1] = {'missing checkpoint', name, '0-0', 0} end
          end
          return list
        end

        local function holds(keys, args) return find_holds(keys, args, 1) end
        """

    /// Trims a stream, if nobody needs what goes.
    static let trim = """
        -- Adds the record of a segment behind those that lead up to it; a list that does not is left to
        -- record_segments.
        local function record_segment(call, list, after, record)
          local last = call('LINDEX', list, -1)
          if last and string.match(last, '^%S+ (%S+)') ~= after then return end
          if not last and after ~= '0-0' then return end
          call('RPUSH', list, record)
        end

        local function trim(keys, args)
          local through, after = args[1], args[2]
          local state = call('HGET', keys[2], 'through') or '0-0'
          if state ~= after then return {2, state} end
          -- What is gone and was not archived is lost, and nothing is archived over it.
          local gone, expected = departed(stream_facts(keys[1]), keys[2])
          if gone ~= expected then
            return redis.error_reply('REELLOST ' .. gone .. ' of its entries have left it, and ' .. expected
              .. ' should have')
          end
          for _, hold in ipairs(find_holds(keys, args, 5)) do
            local passed = before(hold[3], through)
            if hold[4] == 1 then passed = not before(through, hold[3]) end
            if passed then return {1, hold[1], hold[2], hold[3]} end
          end
          local milliseconds, counter = string.match(through, '^(%d+)%-(%d+)$')
          must(keys[2], 'HSET')
          must(keys[3], 'ZREMRANGEBYSCORE', 'ZADD')
          must(keys[#keys], 'LINDEX', 'RPUSH')
          local removed = call('XTRIM', keys[1], 'MINID', '=',
            milliseconds .. '-' .. string.format('%d', counter + 1))
          call('HSET', keys[2], 'through', through, 'count', args[3], 'hash', args[4])
          call('ZREMRANGEBYSCORE', keys[3], 0, milliseconds)
          call('ZADD', keys[3], '-' .. args[3], 'trimmed')
          -- Earlier versions name no list and no record.
          local groups = tonumber(args[5])
          local record = args[7 + groups + tonumber(args[6 + groups])]
          if record and #keys == 5 + groups then
            record_segment(call, keys[#keys], after, record)
          end
          return {0, removed}
        end
        """

    /// Puts the records of all segments in place.
    static let recordSegments = """
        local function record_segments(keys, args)
          local state = call('HMGET', keys[1], 'through', 'hash')
          if state[1] ~= args[1] or state[2] ~= args[2] then return 0 end
          must(keys[2], 'RPUSH')
          call('DEL', keys[2])
          for i = 3, #args, 1000 do
            call('RPUSH', keys[2], unpack(args, i, math.min(i + 999, #args)))
          end
          return 1
        end
        """

    /// Lets a partition key's index and ids follow.
    static let shrink = """
        local function shrink(keys, args)
          local index, ids = keys[1], keys[2]
          local base, odd = base_of(ids)
          local length, overwritten = look('LLEN', index)
          odd = odd or overwritten
          if odd then return redis.error_reply(odd) end
          base = tonumber(base or 0)
          local gone = tonumber(args[1]) - base
          if length == 0 or gone <= 0 then return 0 end
          local through = call('HGET', keys[4], 'through') or '0-0'
          if before(through, args[2]) or call('LINDEX', index, gone - 1) ~= args[2] then
            return redis.error_reply('REELLOST ' .. index .. ' and the archive disagree about sequence '
              .. args[1])
          end
          if gone < length then
            must(ids, 'HSET')
            call('LTRIM', index, gone, -1)
            call('HSET', ids, 'b', args[1])
          else
            must(keys[3], 'ZINCRBY')
            call('DEL', index, ids)
            call('ZINCRBY', keys[3], -1, 'evicted')
          end
          return 1
        end
        """

    /// The same for many keys: ranks, archive, and for each of them index and ids; arguments for each the
    /// last sequence that goes, and its entry.
    static let shrinkAll = """
        local function shrink_all(keys, args)
          for i = 1, #args, 2 do
            local answer = shrink({keys[i + 2], keys[i + 3], keys[1], keys[2]}, {args[i], args[i + 1]})
            if type(answer) == 'table' then return answer end
          end
          return #args / 2
        end
        """

    /// What there is of a partition key.
    static let history = """
        local function history(keys, args)
          local known, odd = base_of(keys[2])
          local length, overwritten = look('LLEN', keys[1])
          odd = odd or overwritten
          if odd then return redis.error_reply(odd) end
          local base = tonumber(known or 0)
          if length > 0 and not known then
            return redis.error_reply('REELLOST ' .. keys[2] .. ' is gone')
          elseif length == 0 and known and call('TTL', keys[2]) < 0 then
            return redis.error_reply('REELLOST ' .. keys[1] .. ' is gone')
          end
          if base + length == 0 then
            local gone, odd = evicted(keys[3])
            if odd then return redis.error_reply(odd) end
            if gone > 0 then return {-1, 0, {}} end
          elseif call('HLEN', keys[2]) > base + length + 1 then
            -- One field for each event, whether it is archived or not, and the one that counts these. An
            -- entry that somebody has added without one is looked at by whoever reads it.
            return redis.error_reply(
              spoiled(keys[1], 'lacks events that the hash of ids beside it tells of'))
          end
          local limit = tonumber(args[2])
          if limit == 0 then return {base, base + length, {}} end
          local from = math.max(tonumber(args[1]) - base, 0)
          return {base, base + length, call('LRANGE', keys[1], from, from + limit - 1)}
        end
        """

    /// What is wrong with what tells of partition keys: keys ranks, and index and ids of each. Answers an
    /// error of `history` for each of which something is.
    static let contradictions = """
        local function contradictions(keys, args)
          local found = {}
          for i = 2, #keys, 2 do
            local answer = history({keys[i], keys[i + 1], keys[1]}, {'0', '0'})
            if answer.err then found[#found + 1] = answer.err end
          end
          return found
        end
        """
}
