"""What somebody with a shell does to MongoDB: takes users, passwords and rights away, drops collections."""

import contextlib
import json
import time

import pymongo

# Users of the embedded mongod by the member of credentials.json, and what each may do.
ROLES = {
    "mongodb": [{"role": "readWrite", "db": "reel"}, {"role": "dbAdmin", "db": "reel"}],
    "mongodb_vault": [{"role": "readWrite", "db": "reel_vault"}],
}
COLLECTIONS = ["sessions", "chunks", "pipeline", "folds", "audit", "checkpoints"]


class Databases:
    """MongoDB of a fleet, by its administrator."""

    def __init__(self, fleet, source):
        self.fleet, self.source = fleet, source
        self.moved = 0

    @contextlib.contextmanager
    def administrator(self):
        """The server, or pymongo's error when it is away."""
        admin = self._logins()["mongodb_admin"]
        host = self.fleet.urls[1].split("@")[1].split("/")[0]
        client = pymongo.MongoClient(
            host, username=admin["user"], password=admin["password"], directConnection=True,
            serverSelectionTimeoutMS=2000, socketTimeoutMS=5000, connectTimeoutMS=2000)
        try:
            yield client
        finally:
            client.close()

    def _logins(self):
        return json.loads((self.fleet.system.data / "credentials.json").read_bytes())

    def take_away(self):
        """Takes something away from a user; answers the user's name in credentials.json, and what was done."""
        name = self.source.choice(sorted(ROLES))
        user = self._logins()[name]["user"]
        deed = self.source.choice(["password", "rights", "user"])
        try:
            with self.administrator() as client:
                if deed == "rights":
                    client.admin.command("updateUser", user, roles=[])
                else:
                    client.admin.command("dropUser", user)
                if deed == "password":
                    # Made anew, so that whoever is logged in is logged out.
                    client.admin.command("createUser", user, pwd="another", roles=ROLES[name])
        except (pymongo.errors.PyMongoError, OSError):
            return None
        return name, f"{user}: {deed}"

    def give_back(self, name):
        """Whether the user has its password and its rights again."""
        login = self._logins()[name]
        try:
            with self.administrator() as client:
                known = client.admin.command("usersInfo", login["user"])["users"]
                command = "updateUser" if known else "createUser"
                client.admin.command(command, login["user"], pwd=login["password"], roles=ROLES[name])
            return True
        except (pymongo.errors.PyMongoError, OSError):
            return False

    def give_back_for_sure(self, name, seconds=60):
        """A server that is just starting is waited for."""
        deadline = time.monotonic() + seconds
        while not self.give_back(name) and time.monotonic() < deadline:
            time.sleep(0.5)

    def drop_something(self):
        """Drops or renames a collection of the read models, drops its indexes, or drops them all."""
        name = self.source.choice(COLLECTIONS)
        deed = self.source.choice(["drop", "drop", "rename", "indexes", "database"])
        try:
            with self.administrator() as client:
                if deed == "database":
                    client.drop_database("reel")
                    return "the database"
                if deed == "indexes":
                    client["reel"][name].drop_indexes()
                elif deed == "rename":
                    self.moved += 1
                    client["reel"][name].rename(f"moved_{self.moved}")
                else:
                    client["reel"][name].drop()
        except (pymongo.errors.PyMongoError, OSError):
            return None
        return f"{name}: {deed}"
