/// The functions that run inside the server. A script does not roll back, so each checks everything
/// before its first write; every key is declared.
///
/// A library that is newer than ours is left in place: newer versions keep what older ones answer, so
/// that processes of both versions run side by side during a deploy.
enum FunctionLibrary {
    static let version = 10

    static let source = """
        #!lua name=reel
        local function version() return \(version) end

        \(calls)
        \(looks)
        \(counters)
        \(streamFacts)
        \(append)
        \(takeBack)
        \(groups)
        \(count)
        \(leaseState)
        \(leases)
        \(leaseRead)
        \(archive)
        \(order)
        \(holds)
        \(trim)
        \(recordSegments)
        \(shrink)
        \(history)
        \(rates)
        \(index)

        \(registrations)
        """

    /// What grows the log, or whoever works on it, is refused by a server that is at its maxmemory. What
    /// keeps books of a fixed size goes on there, so that work that needs no room does.
    ///
    /// The last line has what earlier versions call; `ServerScript` has taken its place.
    private static let registrations = """
        local function growing(name, callback) redis.register_function(name, callback) end
        local function bookkeeping(name, callback)
          redis.register_function{function_name=name, callback=callback, flags={'allow-oom'}}
        end
        local function reading(name, callback)
          redis.register_function{function_name=name, callback=callback, flags={'no-writes'}}
        end

        reading('reel_version', version)
        growing('reel_create', create)
        growing('reel_begin', begin)
        bookkeeping('reel_raise', raise)
        growing('reel_append', append)
        growing('reel_append_new', append_new)
        growing('reel_append_all', append_all)
        growing('reel_restore', restore)
        growing('reel_take_back', take_back)
        growing('reel_park', park)
        growing('reel_unpark', unpark)
        growing('reel_rate', rate)
        bookkeeping('reel_claim', claim)
        bookkeeping('reel_touch', touch)
        bookkeeping('reel_forget', forget)
        bookkeeping('reel_checkpoint', checkpoint)
        bookkeeping('reel_index', index)
        bookkeeping('reel_attend', attend)
        bookkeeping('reel_lease_acquire', lease_acquire)
        bookkeeping('reel_lease_renew', lease_renew)
        bookkeeping('reel_lease_release', lease_release)

        bookkeeping('reel_trim', trim)
        bookkeeping('reel_shrink', shrink)
        bookkeeping('reel_record_segments', record_segments)
        reading('reel_lease_read', lease_read)
        reading('reel_holds', holds)
        reading('reel_history', history)
        reading('reel_count', count)
        """

    /// How commands are called here. Redis 7.0 does not say which one its user may not call; and since a
    /// script does not roll back, what is called after the first write is asked for before it.
    static let calls = """
        local function denied(command) error({err = 'REELDENIED ' .. string.lower(command)}) end

        -- Ends the function with the error that a command answered.
        local function failed(answer, command, first)
          if string.find(answer.err, "can't run this command", 1, true)
            or string.find(answer.err, "no permissions to run", 1, true) then
            if command == 'XINFO' or command == 'XGROUP' then command = command .. '|' .. first end
            denied(command)
          end
          error(answer)
        end

        local function call(...)
          local answer = redis.pcall(...)
          if type(answer) == 'table' and answer.err then failed(answer, ...) end
          return answer
        end

        local function must(key, ...)
          for i = 1, select('#', ...) do
            local command = select(i, ...)
            if not redis.acl_check_cmd(command, key) then denied(command) end
          end
        end
        """

    /// What is wrong with a key of another type.
    static let overwritten = "holds something else: it was overwritten"

    /// Looks at keys that somebody else may have written: `REELCORRUPT <key> <what is wrong>` says what of
    /// them is none of ours, before anything is written on their word.
    static let looks = """
        local function spoiled(key, what) return 'REELCORRUPT ' .. key .. ' ' .. what end

        -- The answer to a command that reads a key; or nothing, and what is wrong with the key.
        local function look(command, key, ...)
          local reply = redis.pcall(command, key, ...)
          if type(reply) ~= 'table' or not reply.err then return reply end
          if not string.find(reply.err, 'WRONGTYPE', 1, true) then failed(reply, command, key) end
          return nil, spoiled(key, '\(overwritten)')
        end

        -- Whether a text is a number of events: digits, as many as a double holds exactly.
        local function counts(text) return #text <= 15 and string.find(text, '^%d+$') ~= nil end

        -- How many events of a partition key are in the archive alone, as its hash of ids says; nil where it
        -- does not say. And what is wrong.
        local function base_of(ids)
          local base, odd = look('HGET', ids, 'b')
          if base and not counts(base) then odd = spoiled(ids, 'has a field b that is no number') end
          return base or nil, odd
        end
        """

    /// Counters among the ranks of a partition.
    static let counters = """
        local function evicted(ranks)
          local score, odd = look('ZSCORE', ranks, 'evicted')
          return -(score or 0), odd
        end
        """

    /// How many entries stand after one, up to another one.
    static let count = """
        local function count(keys, args)
          return #call('XRANGE', keys[1], '(' .. args[1], args[2], 'COUNT', args[3])
        end
        """

    private static let groups = """
        local function park(keys, args)
          if args[4] and #call('XPENDING', keys[1], args[1], args[2], args[2], 1, args[4]) == 0 then
            return 0
          end
          call('HSET', keys[2], args[2], args[3])
          return call('XACK', keys[1], args[1], args[2])
        end

        local function unpark(keys, args)
          if call('HEXISTS', keys[2], args[2]) == 0 then return 0 end
          local claimed = call('XCLAIM', keys[1], args[1], args[3], 0, args[2],
            'IDLE', 86400000, 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
          if #claimed == 0 then return -1 end
          call('HDEL', keys[2], args[2])
          return 1
        end

        local function claim(keys, args)
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
          if #call('XPENDING', keys[1], args[1], '-', '+', 1, args[2]) > 0 then return 0 end
          call('XGROUP', 'DELCONSUMER', keys[1], args[1], args[2])
          return 1
        end
        """
}
