extension FunctionLibrary {
    /// Leases of partitions, membership, and fenced checkpoints.
    ///
    /// Time is the server's. Should its clock be set back, an end may lie further ahead than any lease
    /// lasts (`span`); such a lease counts as just renewed, so that nobody waits for the old time to come
    /// round again. What is no whole number that a double holds exactly counts as 0.
    static let leases = """
        local function lease_set(key, owner, generation, now, span)
          call('HSET', key, 'owner', owner, 'generation', string.format('%d', generation),
            'until', string.format('%d', now + span), 'span', string.format('%d', span))
        end

        local function lease_acquire(keys, args)
          local owner, generation, till, span = lease_state(keys[1])
          local now = milliseconds()
          if owner ~= args[1] then
            if owner ~= '' and till > now then
              if till > now + span then lease_set(keys[1], owner, generation, now, span) end
              return 0
            end
            generation = generation + 1
          end
          lease_set(keys[1], args[1], generation, now, tonumber(args[2]))
          return generation
        end

        local function lease_renew(keys, args)
          local owner, generation = lease_state(keys[1])
          if owner ~= args[1] or generation ~= tonumber(args[2]) then return 0 end
          lease_set(keys[1], owner, generation, milliseconds(), tonumber(args[3]))
          return 1
        end

        local function lease_release(keys, args)
          local owner, generation = lease_state(keys[1])
          if owner ~= args[1] or generation ~= tonumber(args[2]) then return 0 end
          call('HSET', keys[1], 'owner', '', 'until', '0')
          return 1
        end

        local function attend(keys, args)
          local now, span = milliseconds(), tonumber(args[2])
          call('ZREMRANGEBYSCORE', keys[1], '-inf', string.format('%d', now))
          local till = string.format('%d', now + span)
          local ahead = string.format('(%d', now + 60000)
          for _, member in ipairs(call('ZRANGEBYSCORE', keys[1], ahead, '+inf')) do
            call('ZADD', keys[1], till, member)
          end
          call('ZADD', keys[1], till, args[1])
          return call('ZRANGE', keys[1], 0, -1)
        end

        local function checkpoint(keys, args)
          local lease = call('HMGET', keys[2], 'owner', 'generation')
          if lease[1] ~= args[3] or lease[2] ~= args[4] then return {0, whole(lease[2])} end
          call('HSET', keys[1], args[1], args[2])
          return {1, 0}
        end
        """

    /// The server's time, and what stands in a lease.
    static let leaseState = """
        local function milliseconds()
          local time = call('TIME')
          return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        end

        local function whole(text)
          local number = tonumber(text or 0)
          if not number or not (number >= 0 and number <= 9007199254740991) then return 0 end
          return math.floor(number)
        end

        local function lease_state(key)
          local lease = call('HMGET', key, 'owner', 'generation', 'until', 'span')
          return lease[1] or '', whole(lease[2]), whole(lease[3]), whole(lease[4])
        end
        """

    /// Who holds a lease, and for how long.
    static let leaseRead = """
        local function lease_read(keys, args)
          local owner, generation, till, span = lease_state(keys[1])
          local remaining = till - milliseconds()
          if owner == '' or remaining <= 0 or remaining > span then return {'', generation, 0} end
          return {owner, generation, remaining}
        end
        """
}
