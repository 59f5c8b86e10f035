"""What somebody with a shell does to Redis' users: another password, no rights, switched off, gone."""

import contextlib
import json

from kit import Redis

# The faults' own administrator, while they last. A server that is started again does not know it.
ADMINISTRATOR, PASSWORD = "chaos", "only-on-this-loopback"
EVERYTHING = ("~*", "&*", "+@all")
DEEDS = {
    "password": ("resetpass", ">another"),
    "rights": ("-@all", "+ping", "+info"),
    "keys": ("resetkeys", "~nothing:*"),
    "switched off": ("off",),
    "gone": None,
}


class Logins:
    """The users of a fleet's Redis."""

    def __init__(self, fleet, source):
        self.fleet, self.source = fleet, source

    def _user(self):
        return json.loads((self.fleet.system.data / "credentials.json").read_bytes())["redis"]

    def _administrator(self):
        host = self.fleet.urls[0].split("@")[1]
        return Redis(f"redis://{ADMINISTRATOR}:{PASSWORD}@{host}", timeout=5)

    def take_away(self, redis):
        """Takes something away from Reel's user by a connection that it has; what, or None."""
        deed, user = self.source.choice(sorted(DEEDS)), self._user()["user"]
        stays = self.source.random() < 0.3
        try:
            redis("ACL", "SETUSER", ADMINISTRATOR, "on", f">{PASSWORD}", *EVERYTHING)
            redis("AUTH", ADMINISTRATOR, PASSWORD)
        except (OSError, RuntimeError):
            return None
        # From here on it may be done, and is undone, whatever is answered.
        with contextlib.suppress(OSError, RuntimeError):
            if DEEDS[deed] is None:
                redis("ACL", "DELUSER", user)
                return deed
            redis("ACL", "SETUSER", user, *DEEDS[deed])
            if not stays:
                redis("CLIENT", "KILL", "USER", user)
        return f"{deed}, whoever is logged in stays so" if stays else deed

    def give_back(self):
        """Puts the user right; whether that could be done, or is done."""
        try:
            login = self._user()
            redis = self._administrator()
            redis("ACL", "SETUSER", login["user"], "reset", "on", f">{login['password']}", *EVERYTHING)
            redis("ACL", "DELUSER", ADMINISTRATOR)
            return True
        except RuntimeError:
            return self._is_right()
        except OSError:
            return False

    def _is_right(self):
        """Whether the user may do what it needs: who starts the server again puts it right, too."""
        try:
            self.fleet.redis(timeout=5)("EXISTS", "reel:meta")
            return True
        except (OSError, RuntimeError):
            return False
