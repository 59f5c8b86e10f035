/// The functions that run inside the server. A script does not roll back, so each checks everything
/// before its first write; every key is declared.
///
/// A library that is newer than ours is left in place: newer versions keep what older ones answer, so
/// that processes of both versions run side by side during a deploy.
enum FunctionLibrary {
    static let version = 6

    static let source = """
        #!lua name=reel
        local function version() return \(version) end

        \(append)
        \(groups)
        \(leases)
        \(archive)
        \(rates)

        redis.register_function{function_name='reel_version', callback=version, flags={'no-writes'}}
        redis.register_function('reel_create', create)
        redis.register_function('reel_raise', raise)
        redis.register_function('reel_append', append)
        redis.register_function('reel_append_all', append_all)
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
        redis.register_function('reel_record_segments', record_segments)
        redis.register_function('reel_shrink', shrink)
        redis.register_function('reel_restore', restore)
        redis.register_function('reel_rate', rate)
        redis.register_function{function_name='reel_holds', callback=holds, flags={'no-writes'}}
        redis.register_function{function_name='reel_history', callback=history, flags={'no-writes'}}
        redis.register_function{function_name='reel_count', callback=count, flags={'no-writes'}}
        """

    private static let groups = """
        local function park(keys, args)
          local call = redis.call
          if args[4] and #call('XPENDING', keys[1], args[1], args[2], args[2], 1, args[4]) == 0 then
            return 0
          end
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
