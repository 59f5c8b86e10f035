// RedisLog
