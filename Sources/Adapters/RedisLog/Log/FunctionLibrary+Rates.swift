extension FunctionLibrary {
    /// reel_rate: one key, a hash of counts by slot; arguments how many are asked for, the limit, the width
    /// of a slot in milliseconds, the slots of a window, and the time in milliseconds, or nothing for the
    /// server's own. Answers how many were granted, how many are left, and milliseconds until the oldest
    /// slot that counts leaves.
    ///
    /// Twelve small numbers a subject, and never more than the limit in any window: a slot leaves when all
    /// of it is a window old. Slots that lie ahead were counted before the clock was set back.
    static let rates = """
        local function rate(keys, args)
          local asked, limit = tonumber(args[1]), tonumber(args[2])
          local width, slots = tonumber(args[3]), tonumber(args[4])
          local now = args[5] == '' and milliseconds() or tonumber(args[5])
          local slot = math.floor(now / width)
          local used, oldest, gone = 0, slot, {}
          local counts = call('HGETALL', keys[1])
          for i = 1, #counts, 2 do
            local at = tonumber(counts[i])
            if at < slot - slots or at > slot then
              gone[#gone + 1] = counts[i]
            else
              used = used + tonumber(counts[i + 1])
              if at < oldest then oldest = at end
            end
          end
          local granted = math.max(0, math.min(asked, limit - used))
          if granted > 0 then
            must(keys[1], 'HINCRBY', 'PEXPIRE')
            if #gone > 0 then call('HDEL', keys[1], unpack(gone)) end
            call('HINCRBY', keys[1], string.format('%d', slot), granted)
            call('PEXPIRE', keys[1], string.format('%d', (slots + 1) * width))
          end
          local reset = 0
          if used + granted > 0 then reset = (oldest + slots + 1) * width - now end
          return {granted, math.max(0, limit - used - granted), reset}
        end
        """
}
