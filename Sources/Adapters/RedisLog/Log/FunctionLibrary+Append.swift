extension FunctionLibrary {
    /// What appends events.
    ///
    /// reel_append_all takes the appends of one partition that leave together, because what a call costs
    /// is then paid once: keys log, ranks, for each append index and ids, and for fenced ones the lease.
    /// Arguments: how many appends, behind a slash the log's epoch; for each of them the expected version
    /// (`*` for any; behind a slash the counter that a look into the archive was based on), the partition
    /// key, how many events, and for each event: 16 bytes of id hash, 8 bytes of body digest, id, type,
    /// source, subject, time, dataschema, authtype, authid, traceparent, correlationid, causationid, data; at
    /// the end, for fenced ones, owner and generation.
    ///
    /// Answers for each append {0, sequence, entry, …} (the sequence negative where the id was present), {1,
    /// version} on a conflict, {2, n} when the n-th id is taken, {3, generation} when the fence does not
    /// hold, {4, n} when the history may be wholly archived (see `archive`), {5, text} when the server's data
    /// contradict each other, or are none of ours, {6} when a new partition key comes to a partition that
    /// does not say that it belongs to the log (see `begin`). The entry is empty where the event that was
    /// present is archived.
    /// The appends are independent: one that is refused leaves the others as they are.
    ///
    /// A server that was emptied, or another log, knows none of the partition keys: that is where the epoch
    /// is looked at, so that it costs nothing elsewhere, and no append ever goes into another log.
    ///
    /// reel_append and reel_append_new are what earlier versions call, for one append.
    ///
    /// The version is the index's length and, where the index has lost its beginning to the archive, the
    /// number of events that are missing there: field `b` of the hash of ids. It is the hash's first field,
    /// because a small hash is searched from its beginning. Fields are arguments of their own: the server
    /// hashes every byte of every Lua string, so that taking them out of one packed argument costs more.
    static let append = """
        local FIELDS_PER_EVENT = 14

        local function create(keys, args)
          if call('EXISTS', keys[1]) == 0 then
            if args[2] == '' then return false end
            call('HSET', keys[1], 'format', args[1], 'partitions', args[2], 'created_at', args[3],
              'epoch', args[4])
            if args[5] then call('HSET', keys[1], 'level', args[5]) end
          end
          return call('HMGET', keys[1], 'format', 'partitions', 'epoch', 'level')
        end

        -- The level never goes back: whoever was slow to raise it changes nothing.
        local function raise(keys, args)
          local known = tonumber(call('HGET', keys[1], 'level') or '1')
          local asked = tonumber(args[1])
          if asked <= known then return known end
          call('HSET', keys[1], 'level', args[1])
          return asked
        end

        -- Says that a partition belongs to the log of an epoch: keys ranks, archive, and where one server has
        -- them all what says the log's epoch. Answers {0}, or {1, epoch} of another log. Counters that were
        -- lost with the rest of the ranks come back as large as they can have been.
        local function begin(keys, args)
          local mark = 'log:' .. args[1]
          if keys[3] then
            local epoch = call('HGET', keys[3], 'epoch') or ''
            if epoch ~= args[1] then return {1, epoch} end
          end
          for _, member in ipairs(call('ZRANGEBYSCORE', keys[1], '-inf', '(0')) do
            if string.sub(member, 1, 4) == 'log:' and member ~= mark then
              return {1, string.sub(member, 5)}
            end
          end
          local gone = call('HGET', keys[2], 'count')
          if gone and not call('ZSCORE', keys[1], 'trimmed') then
            call('ZADD', keys[1], '-' .. gone, 'trimmed', '-' .. gone, 'evicted')
          end
          call('ZADD', keys[1], -1, mark)
          return {0}
        end

        -- The entry stands in the stream already: what was put in the place of the ranks must not end the
        -- call before the entry is in its index. Whoever looks at the partition finds it.
        local function milestone(call, ranks, log, entry)
          local trimmed, odd = look('ZSCORE', ranks, 'trimmed')
          if odd then return end
          local rank = call('XLEN', log) - (trimmed or 0)
          call('ZADD', ranks, string.match(entry, '^%d+'), string.format('%s:%d', entry, rank))
        end

        local function write(call, log, key, args, at, sequence, entry)
          return call('XADD', log, entry or '*', 'id', args[at + 2], 'type', args[at + 3],
            'source', args[at + 4], 'specversion', '1.0', 'subject', args[at + 5],
            'time', args[at + 6], 'dataschema', args[at + 7],
            'datacontenttype', 'application/json', 'partitionkey', key,
            'sequence', string.format('%012d', sequence), 'authtype', args[at + 8],
            'authid', args[at + 9], 'traceparent', args[at + 10],
            'correlationid', args[at + 11], 'causationid', args[at + 12],
            'data', args[at + 13])
        end

        -- What a call knows of partition keys, by their hash of ids, and what it has yet to write of them.
        local function ledger(book)
          book = book or {}
          book.versions, book.bases, book.indexes, book.returned = {}, {}, {}, {}
          book.entries, book.fields, book.order = {}, {}, {}
          return book
        end

        -- The version of a partition key that this call has not met yet; and what is wrong with it.
        local function meet(call, book, index, ids, base)
          local length, odd = look('LLEN', index)
          if base and not counts(base) then odd = spoiled(ids, 'has a field b that is no number') end
          if odd then return 0, {5, odd} end
          local version = length + (base or 0)
          if length > 0 then
            if not base then return version, {5, 'REELLOST ' .. ids .. ' is gone'} end
          elseif base then
            -- Brought back for an append; then it has an end.
            if call('TTL', ids) < 0 then return version, {5, 'REELLOST ' .. index .. ' is gone'} end
            book.returned[ids] = true
          end
          book.versions[ids], book.indexes[ids] = version, index
          if base then book.bases[ids] = base end
          return version
        end

        local function note(book, ids, hash, digest, sequence, entry)
          local value = struct.pack('>I5', sequence) .. digest
          local entries, fields = book.entries[ids], book.fields[ids]
          book.versions[ids] = sequence
          if entries then
            local at = #fields
            entries[#entries + 1], fields[at + 1], fields[at + 2] = entry, hash, value
          elseif sequence == 1 then
            book.entries[ids], book.fields[ids] = {entry}, {'b', '0', hash, value}
            book.order[#book.order + 1] = ids
          else
            book.entries[ids], book.fields[ids] = {entry}, {hash, value}
            book.order[#book.order + 1] = ids
          end
        end

        -- Writes what is yet to be written, and forgets it: nothing is written twice.
        local function finish(call, book)
          local order, indexes, returned = book.order, book.indexes, book.returned
          local entries, fields = book.entries, book.fields
          ledger(book)
          for _, ids in ipairs(order) do
            call('RPUSH', indexes[ids], unpack(entries[ids]))
            if returned[ids] then call('PERSIST', ids) end
            call('HSET', ids, unpack(fields[ids]))
          end
        end

        -- The answer for an id that is present: sequence and entry, or a refusal.
        local function present(call, book, index, ids, value, digest, i)
          if #value ~= 13 then return nil, {5, spoiled(ids, 'has a field that is none of an event')} end
          if string.sub(value, -8) ~= digest then return nil, {2, i} end
          local place, entry = struct.unpack('>I5', value), ''
          local at = place - (book.bases[ids] or 0)
          if at > 0 then entry = call('LINDEX', index, at - 1) end
          if not entry then return nil, {5, 'REELLOST ' .. index .. ' lacks sequence ' .. place} end
          if entry ~= '' and not string.find(entry, '^%d+%-%d+$') then
            return nil, {5, spoiled(index, 'has no entry id for sequence ' .. place)}
          end
          return -place, entry
        end

        -- What has to be found out before anything is appended to a key that the server does not know.
        local function unknown(call, keys, version, looked)
          if version > 0 then return end
          local found, odd = look('ZMSCORE', keys.ranks, 'evicted', keys.mark or '')
          if odd then return {5, odd} end
          if keys.mark and not found[2] then return {6} end
          local gone = -(found[1] or 0)
          if gone > 0 and gone ~= looked then return {4, gone} end
        end

        -- Before the first write: what will be written after it.
        local function ready(keys, index, ids, returned)
          if not keys.ready then
            must(index, 'RPUSH')
            must(ids, 'HSET')
            keys.ready = true
          end
          if returned then must(ids, 'PERSIST') end
        end

        local function ready_milestone(keys)
          if keys.ready_milestone then return end
          must(keys.ranks, 'ZSCORE', 'ZADD')
          must(keys.log, 'XLEN')
          keys.ready_milestone = true
        end

        local function append_one(call, book, keys, args, at, expected, looked, key, index, ids)
          local hash, digest, version, value = args[at], args[at + 1], book.versions[ids], nil
          local odd
          if version then
            value = call('HGET', ids, hash)
          else
            local known, overwritten = look('HMGET', ids, hash, 'b')
            if overwritten then return {5, overwritten} end
            value = known[1]
            version, odd = meet(call, book, index, ids, known[2])
          end
          odd = odd or unknown(call, keys, version, looked)
          if odd then return odd end
          if value then
            local place, entry = present(call, book, index, ids, value, digest, 1)
            if not place then return entry end
            return {0, place, entry}
          end
          if expected and expected ~= version then return {1, version} end
          version = version + 1
          local has_milestone = string.byte(hash) == 0
          ready(keys, index, ids, book.returned[ids])
          if has_milestone then ready_milestone(keys) end
          local entry = write(call, keys.log, key, args, at, version)
          note(book, ids, hash, digest, version, entry)
          if has_milestone then milestone(call, keys.ranks, keys.log, entry) end
          return {0, version, entry}
        end

        local function append_many(call, book, keys, args, from, n, expected, looked, key, index, ids)
          local hashes = {}
          for i = 1, n do hashes[i] = args[from + (i - 1) * FIELDS_PER_EVENT] end
          local version, known, odd = book.versions[ids], nil, nil
          if version then
            known = call('HMGET', ids, unpack(hashes))
          else
            hashes[n + 1] = 'b'
            local overwritten
            known, overwritten = look('HMGET', ids, unpack(hashes))
            if overwritten then return {5, overwritten} end
            version, odd = meet(call, book, index, ids, known[n + 1])
          end
          odd = odd or unknown(call, keys, version, looked)
          if odd then return odd end
          local answer, first, fresh, at = {0}, {}, 0, from
          for i = 1, n do
            local hash, digest, value = hashes[i], args[at + 1], known[i]
            if value then
              local place, entry = present(call, book, index, ids, value, digest, i)
              if not place then return entry end
              answer[2 * i], answer[2 * i + 1] = place, entry
            elseif not first[hash] then
              first[hash] = i
              fresh = fresh + 1
            elseif args[from + 1 + (first[hash] - 1) * FIELDS_PER_EVENT] ~= digest then return {2, i} end
            at = at + FIELDS_PER_EVENT
          end
          if fresh == 0 then return answer end
          if expected and expected ~= version then return {1, version} end
          ready(keys, index, ids, book.returned[ids])
          for i = 1, n do
            if string.byte(hashes[i]) == 0 then ready_milestone(keys) end
          end
          at = from
          for i = 1, n do
            local hash = hashes[i]
            if not answer[2 * i] then
              if first[hash] == i then
                version = version + 1
                local entry = write(call, keys.log, key, args, at, version)
                note(book, ids, hash, args[at + 1], version, entry)
                answer[2 * i], answer[2 * i + 1] = version, entry
                if string.byte(hash) == 0 then milestone(call, keys.ranks, keys.log, entry) end
              else
                local earlier = 2 * first[hash]
                answer[2 * i], answer[2 * i + 1] = -answer[earlier], answer[earlier + 1]
              end
            end
            at = at + FIELDS_PER_EVENT
          end
          return answer
        end

        local function fence_broken(call, lease, owner, generation)
          local held = call('HMGET', lease, 'owner', 'generation')
          if held[1] ~= owner or held[2] ~= generation then return {3, tonumber(held[2] or 0)} end
        end

        local function misfit()
          return redis.error_reply('REELINVALID wrong number, order or length of keys or arguments')
        end

        -- Whether n events begin at args[at].
        local function fits(args, at, n)
          if not n or n < 1 or n ~= math.floor(n) then return false end
          for i = 1, n do
            local hash, digest = args[at], args[at + 1]
            if not digest or #hash ~= 16 or #digest ~= 8 then return false end
            at = at + FIELDS_PER_EVENT
          end
          return at <= #args + 1
        end

        local function shares(fields, args, at, n)
          for i = 1, n do
            local hash = args[at + (i - 1) * FIELDS_PER_EVENT]
            for j = 1, #fields, 2 do
              if fields[j] == hash then return true end
            end
          end
        end

        local function append_batch(call, book, keys, args, at, n, expected, looked, key, index, ids)
          -- What earlier appends of this call have yet to write may be what this one asks for.
          local fields = book.fields[ids]
          if fields and shares(fields, args, at, n) then
            finish(call, book)
          end
          if n == 1 then
            return append_one(call, book, keys, args, at, expected, looked, key, index, ids)
          end
          return append_many(call, book, keys, args, at, n, expected, looked, key, index, ids)
        end

        -- One of several appends. Where it fails, those before it have written to the stream already: what
        -- is yet to be written of them is written before the call ends.
        local function append_next(call, book, ...)
          local worked, answer = pcall(append_batch, call, book, ...)
          if worked then return answer end
          finish(call, book)
          -- The server's pcall answers the text of an error alone.
          error({err = answer})
        end

        local function append_all(keys, args)
          local count, epoch = tonumber(args[1]), nil
          if not count and args[1] then
            count, epoch = string.match(args[1], '^(%d+)/(%w+)$')
            count = tonumber(count)
          end
          local fenced = count and #keys == 2 * count + 3
          if not count or count < 1 or not fenced and #keys ~= 2 * count + 2 then return misfit() end
          local at = 2
          for i = 1, count do
            local n = tonumber(args[at + 2])
            if not fits(args, at + 3, n) then return misfit() end
            at = at + 3 + n * FIELDS_PER_EVENT
          end
          if #args ~= at - 1 + (fenced and 2 or 0) then return misfit() end
          local book, answers = ledger(), {}
          local broken = fenced and fence_broken(call, keys[#keys], args[at], args[at + 1])
          keys.log, keys.ranks, keys.mark = keys[1], keys[2], epoch and 'log:' .. epoch
          at = 2
          for i = 1, count do
            local expected, looked, n = tonumber(args[at]), nil, tonumber(args[at + 2])
            if not expected and args[at] ~= '*' then
              local version, counter = string.match(args[at], '^(.+)/(%d+)$')
              expected, looked = tonumber(version), tonumber(counter)
            end
            answers[i] = broken
            if not broken then
              answers[i] = append_next(call, book, keys, args, at + 3, n, expected, looked,
                args[at + 1], keys[2 * i + 1], keys[2 * i + 2])
            end
            at = at + 3 + n * FIELDS_PER_EVENT
          end
          finish(call, book)
          return answers
        end

        local function append(keys, args, looked)
          local fenced = #keys == 5
          local n = (#args - (fenced and 4 or 2)) / FIELDS_PER_EVENT
          if not fenced and #keys ~= 4 or not fits(args, 3, n) then return misfit() end
          local broken = fenced and fence_broken(call, keys[5], args[#args - 1], args[#args])
          if broken then return broken end
          keys.log, keys.ranks = keys[1], keys[4]
          local book = ledger()
          local answer = append_batch(call, book, keys, args, 3, n, tonumber(args[1]), looked, args[2],
            keys[2], keys[3])
          finish(call, book)
          if answer[1] == 5 then return redis.error_reply(answer[2]) end
          return answer
        end
        """
}
