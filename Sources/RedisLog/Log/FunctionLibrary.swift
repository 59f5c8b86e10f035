/// The functions that run inside the server. A script does not roll back, so each checks everything
/// before its first write; every key is declared.
///
/// A library that is newer than ours is left in place: newer versions keep what older ones answer, so
/// that processes of both versions run side by side during a deploy.
enum FunctionLibrary {
    static let version = 4

    static let source = """
        #!lua name=reel
        local FIELDS_PER_EVENT = 14

        local function version() return \(version) end

        \(append)
        \(groups)
        \(leases)
        \(archive)
        \(rates)

        redis.register_function{function_name='reel_version', callback=version, flags={'no-writes'}}
        redis.register_function('reel_create', create)
        redis.register_function('reel_append', append)
        redis.register_function('reel_park', park)
        redis.register_function('reel_unpark', unpark)
        redis.register_function('reel_claim', claim)
        redis.register_function('reel_touch', touch)
        redis.register_function('reel_forget', forget)
        redis.register_function('reel_checkpoint', checkpoint)
        redis.register_function('reel_attend', attend)
        redis.register_function('reel_lease_acquire', lease_acquire)
        redis.register_function('reel_lease_renew', lease_renew)
        redis.register_function('reel_lease_release', lease_release)
        redis.register_function{function_name='reel_lease_read', callback=lease_read, flags={'no-writes'}}
        redis.register_function('reel_append_new', append_new)
        redis.register_function('reel_trim', trim)
        redis.register_function('reel_shrink', shrink)
        redis.register_function('reel_restore', restore)
        redis.register_function('reel_rate', rate)
        redis.register_function{function_name='reel_holds', callback=holds, flags={'no-writes'}}
        redis.register_function{function_name='reel_history', callback=history, flags={'no-writes'}}
        redis.register_function{function_name='reel_count', callback=count, flags={'no-writes'}}
        """

    /// reel_append: keys log, index, ids, ranks; arguments the expected version (`*` for any), the
    /// partition key, then per event: 16 bytes of id hash, 8 bytes of body digest, id, type, source,
    /// subject, time, dataschema, authtype, authid, traceparent, correlationid, causationid, data.
    /// A fenced append has a fifth key, the lease, and two more arguments at the end: owner and generation.
    /// Answers {0, sequence, entry, …} (the sequence negative where the id was present), {1, version}
    /// on a conflict, {2, n} when the n-th id is taken, {3, generation} when the fence does not hold,
    /// {4, n} when the history may be wholly archived (see `archive`). The entry is empty where the event
    /// that was present is archived.
    ///
    /// The version is the index's length and, where the index has lost its beginning to the archive, the
    /// number of events that are missing there: field `b` of the hash of ids.
    private static let append = """
        local function create(keys, args)
          local call = redis.call
          if call('EXISTS', keys[1]) == 0 then
            if args[2] == '' then return false end
            call('HSET', keys[1], 'format', args[1], 'partitions', args[2], 'created_at', args[3],
              'epoch', args[4])
          end
          return call('HMGET', keys[1], 'format', 'partitions', 'epoch')
        end

        local function write(call, log, args, at, sequence)
          return call('XADD', log, '*', 'id', args[at + 2], 'type', args[at + 3],
            'source', args[at + 4], 'specversion', '1.0', 'subject', args[at + 5],
            'time', args[at + 6], 'dataschema', args[at + 7],
            'datacontenttype', 'application/json', 'partitionkey', args[2],
            'sequence', string.format('%012d', sequence), 'authtype', args[at + 8],
            'authid', args[at + 9], 'traceparent', args[at + 10],
            'correlationid', args[at + 11], 'causationid', args[at + 12],
            'data', args[at + 13])
        end

        local function milestone(call, ranks, log, entry)
          local rank = call('XLEN', log) - (call('ZSCORE', ranks, 'trimmed') or 0)
          call('ZADD', ranks, string.match(entry, '^%d+'), string.format('%s:%d', entry, rank))
        end

        local function evicted(ranks)
          return -(redis.call('ZSCORE', ranks, 'evicted') or 0)
        end

        local function append(keys, args, looked)
          local call = redis.call
          local log, index, ids = keys[1], keys[2], keys[3]
          local fenced = #keys == 5
          local n = (#args - (fenced and 4 or 2)) / FIELDS_PER_EVENT
          if not fenced and #keys ~= 4 or n < 1 or n ~= math.floor(n) then
            return redis.error_reply('REELINVALID wrong number of keys or arguments')
          end
          if fenced then
            local lease = call('HMGET', keys[5], 'owner', 'generation')
            if lease[1] ~= args[#args - 1] or lease[2] ~= args[#args] then
              return {3, tonumber(lease[2] or 0)}
            end
          end
          if n == 1 and #args[3] == 16 and #args[4] == 8 then
            -- The common case, one new event, without the tables that several need.
            local hash = args[3]
            local known = call('HMGET', ids, hash, 'b')
            if not known[1] then
              local length = call('LLEN', index)
              local version = length + (known[2] or 0)
              if version == 0 then
                local gone = evicted(keys[4])
                if gone > 0 and gone ~= looked then return {4, gone} end
              end
              if args[1] ~= '*' and tonumber(args[1]) ~= version then return {1, version} end
              version = version + 1
              local entry = write(call, log, args, 3, version)
              call('RPUSH', index, entry)
              if length == 0 and version > 1 then call('PERSIST', ids) end
              call('HSET', ids, hash, struct.pack('>I5', version) .. args[4])
              if string.byte(hash, 1) == 0 then milestone(call, keys[4], log, entry) end
              return {0, version, entry}
            end
          end
          local hashes = {}
          for i = 1, n do
            local at = 3 + (i - 1) * FIELDS_PER_EVENT
            if #args[at] ~= 16 or #args[at + 1] ~= 8 then
              return redis.error_reply('REELINVALID an id hash or body digest has the wrong length')
            end
            hashes[i] = args[at]
          end
          local known = call('HMGET', ids, unpack(hashes))
          local base = tonumber(call('HGET', ids, 'b') or 0)
          local length = call('LLEN', index)
          local sequence = base + length
          if sequence == 0 then
            local gone = evicted(keys[4])
            if gone > 0 and gone ~= looked then return {4, gone} end
          end

          local answer, first, fresh = {0}, {}, 0
          for i = 1, n do
            local digest = args[4 + (i - 1) * FIELDS_PER_EVENT]
            local value = known[i]
            if value then
              if string.sub(value, -8) ~= digest then return {2, i} end
              local place = struct.unpack('>I5', value)
              local entry = ''
              if place > base then entry = call('LINDEX', index, place - base - 1) end
              if not entry then
                return redis.error_reply('REELCORRUPT ' .. index .. ' lacks sequence ' .. place)
              end
              answer[2 * i], answer[2 * i + 1] = -place, entry
            else
              local earlier = first[hashes[i]]
              if not earlier then
                first[hashes[i]] = i
                fresh = fresh + 1
              elseif args[4 + (earlier - 1) * FIELDS_PER_EVENT] ~= digest then return {2, i} end
            end
          end
          if fresh == 0 then return answer end
          if args[1] ~= '*' and tonumber(args[1]) ~= sequence then return {1, sequence} end

          local entries, fields = {}, {}
          for i = 1, n do
            local hash = hashes[i]
            if not known[i] and first[hash] ~= i then
              local earlier = first[hash]
              answer[2 * i], answer[2 * i + 1] = -answer[2 * earlier], answer[2 * earlier + 1]
            elseif not known[i] then
              local at = 3 + (i - 1) * FIELDS_PER_EVENT
              sequence = sequence + 1
              local entry = write(call, log, args, at, sequence)
              local count = #entries + 1
              entries[count] = entry
              fields[2 * count - 1] = hash
              fields[2 * count] = struct.pack('>I5', sequence) .. args[at + 1]
              answer[2 * i], answer[2 * i + 1] = sequence, entry
              if string.byte(hash, 1) == 0 then milestone(call, keys[4], log, entry) end
            end
          end
          call('RPUSH', index, unpack(entries))
          if length == 0 and base > 0 then call('PERSIST', ids) end
          call('HSET', ids, unpack(fields))
          return answer
        end
        """

    private static let groups = """
        local function park(keys, args)
          local call = redis.call
          call('HSET', keys[2], args[2], args[3])
          return call('XACK', keys[1], args[1], args[2])
        end

        local function unpark(keys, args)
          local call = redis.call
          if call('HEXISTS', keys[2], args[2]) == 0 then return 0 end
          local claimed = call('XCLAIM', keys[1], args[1], args[3], 0, args[2],
            'IDLE', 86400000, 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
          if #claimed == 0 then return -1 end
          call('HDEL', keys[2], args[2])
          return 1
        end

        local function claim(keys, args)
          local call = redis.call
          local log, group, from, me = keys[1], args[1], args[2], args[3]
          local pending
          if from == '' then
            pending = call('XPENDING', log, group, 'IDLE', args[4], '-', '+', args[5])
          else
            pending = call('XPENDING', log, group, 'IDLE', args[4], '-', '+', args[5], from)
          end
          local taken, ids = {}, {}
          for _, item in ipairs(pending) do
            if item[2] ~= me then
              ids[#ids + 1] = item[1]
              taken[#taken + 1] = {item[1], item[4]}
            end
          end
          if #ids == 0 then return {{}, {}} end
          return {taken, call('XCLAIM', log, group, me, 0, unpack(ids))}
        end

        local function touch(keys, args)
          local call = redis.call
          local log, group, me = keys[1], args[1], args[2]
          local lost = {}
          for i = 3, #args do
            local item = call('XPENDING', log, group, args[i], args[i], 1)[1]
            if item and item[2] == me then
              call('XCLAIM', log, group, me, 0, args[i], 'JUSTID')
            else
              lost[#lost + 1] = args[i]
            end
          end
          return lost
        end

        local function forget(keys, args)
          local call = redis.call
          if #call('XPENDING', keys[1], args[1], '-', '+', 1, args[2]) > 0 then return 0 end
          call('XGROUP', 'DELCONSUMER', keys[1], args[1], args[2])
          return 1
        end

        local function count(keys, args)
          local call = redis.call
          return #call('XRANGE', keys[1], '(' .. args[1], args[2], 'COUNT', args[3])
        end
        """
}
