"""What a forgery is, what must come of it, and what everybody says who is asked afterwards."""

import dataclasses
import json

# What somebody says.
ACCEPT, REFUSE, RIGHT, WRONG = "accept", "refuse", "right", "wrong"
# The attacker of sessions that nobody forged.
NOBODY = "-"


@dataclasses.dataclass
class Forgery:
    """One change, by somebody who can write some of the stores and has no key.

    `verify` is what `reel verify` must say, `content` what must become of the content: given out as it was
    recorded (`right`), not at all (`refuse`), one of both (`safe`), or as the forger wants it (`forged`: what
    only an anchor shows; `why` says why nobody without one can know).
    """

    attacker: str
    name: str
    apply: object
    verify: str = REFUSE
    content: str = REFUSE
    shape: str = "sealed"
    chunks: tuple = (2,)
    why: str = ""
    # What shows it to whoever kept it: the root, the events, the archive's chain. `mended`: it is accepted
    # only where it was undone before.
    anchor: str = ""
    # A stranger who is named as the owner by the documents must not get in by that.
    stranger: bool = False


@dataclasses.dataclass
class Forged:
    """What the content has become where a forgery is accepted: each chunk's bytes, by number."""

    pieces: dict

    @property
    def original(self):
        return b"".join(piece for _, piece in sorted(self.pieces.items()))


def ended(done, what, refusals=(1,)):
    """A command's answer: yes, no, or something that is neither."""
    if done.returncode == 0:
        return ACCEPT
    # Whoever is refused is told why.
    if done.returncode in refusals and done.stdout + done.stderr.encode():
        return REFUSE
    return f"{what} ended with {done.returncode}: {done.stderr.strip()[-300:]}"


class Verdicts:
    """Asks everybody about one session."""

    def __init__(self, world, gateway, target, forgery, forged, number):
        self.world, self.gateway, self.target, self.forgery = world, gateway, target, forgery
        self.forged, self.number = forged, number
        pieces = forged.pieces if forged else dict(enumerate(target.pieces, 1))
        self.pieces, self.whole = pieces, b"".join(piece for _, piece in sorted(pieces.items()))
        # An archive or a key that cannot be used at all is said by another status. What somebody has put into
        # Redis is an answer about the record.
        self.refusals = (1,) if forgery.attacker == "R" else (1, 3)

    def all(self):
        """Name of whoever was asked, and the answer."""
        found = {"verify": self.verify(), "export": self.export(), "media": self.media()}
        for chunk in self.forgery.chunks:
            found[f"download {chunk}"] = self.download(chunk, "original", self.pieces.get(chunk))
            found[f"range {chunk}"] = self.range(chunk)
            kept = self.target.files.get(chunk)
            if not self.forged:
                found[f"sealed {chunk}"] = self.download(chunk, "sealed", kept)
            found[f"proof {chunk}"] = self.proof(chunk, self.printed_proof(chunk))
            found[f"proof {chunk} by the gateway"] = self.proof(chunk, self.sent_proof(chunk))
        if self.forgery.content in (REFUSE, "safe"):
            found["partial export"] = self.partial()
        if self.forgery.attacker == "C":
            found["verify without a key"] = ended(
                self.world.reel("verify", self.target.session, "--without-key"), "verify --without-key")
        if self.forgery.attacker in ("A", "A+C", NOBODY):
            found["events"] = self.printed_events()
        if self.forgery.stranger:
            found["stranger"] = self.stranger()
        if self.forgery.attacker == NOBODY:
            found["owner"] = self.got(
                self.gateway.get(f"/sessions/{self.target.session}/media", "anna"), self.whole)
        if self.forgery.anchor:
            found["anchor"] = self.anchor(found["verify"])
        return found

    def verify(self):
        return ended(self.world.reel("verify", self.target.session), "verify")

    def export(self):
        """Who exports leaves a record, which may have its place in a forged partition: where nobody has
        a reason to refuse, it is tried again, and the record has another place."""
        answer = self.exported()
        for _ in range(7 if self.forgery.content in (RIGHT, "forged") else 0):
            if answer != REFUSE:
                break
            answer = self.exported()
        return answer

    def exported(self):
        file = self.world.folder / f"export-{self.number}"
        file.unlink(missing_ok=True)
        answer = ended(self.world.reel("export", self.target.session, "-o", file), "export", self.refusals)
        if answer == ACCEPT:
            answer = RIGHT if file.read_bytes() == self.whole else WRONG
        elif answer == REFUSE and file.exists():
            answer = "export was refused and left a file"
        file.unlink(missing_ok=True)
        return answer

    def media(self):
        return self.got(self.gateway.get(f"/sessions/{self.target.session}/media"), self.whole)

    def download(self, chunk, form, wanted):
        path = f"/sessions/{self.target.session}/chunks/{self.target.chunk_id(chunk)}/download?form={form}"
        return self.got(self.gateway.get(path), wanted)

    def range(self, chunk):
        """The bytes of one chunk out of the middle of the recording."""
        if not self.pieces.get(chunk):
            return REFUSE
        first = sum(len(piece) for number, piece in self.pieces.items() if number < chunk)
        path, wanted = f"/sessions/{self.target.session}/media", self.pieces[chunk]
        return self.got(self.gateway.get(path, first=first, count=len(wanted)), wanted)

    def partial(self):
        """Whatever is given out of a damaged session is some of its chunks, in their order."""
        file = self.world.folder / f"partial-{self.number}"
        done = self.world.reel("export", self.target.session, "--partial", "-o", file)
        rest = file.read_bytes() if file.exists() else b""
        file.unlink(missing_ok=True)
        if done.returncode not in (0, 1, 2, 3):
            return f"export --partial ended with {done.returncode}"
        for piece in self.target.pieces:
            rest = rest.removeprefix(piece)
        return WRONG if rest else RIGHT

    def told(self):
        """What is printed of the session's events, but for those that verifying it has added."""
        done = self.world.reel("events", self.target.session, "--json")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return done, [event for event in events if event["type"] != "SessionVerified"]

    def printed_events(self):
        """Nothing is printed that nobody recorded."""
        done, now = self.told()
        kept = [(event["id"], event["time"], event.data) for event in self.target.events]
        same = [(event["id"], event["time"], event["data"]) for event in now] == kept[:len(now)]
        if not same or done.returncode == 0 and len(now) < len(kept):
            return WRONG
        return RIGHT if done.returncode == 0 else ended(done, "events", (1, 3))

    def got(self, answer, wanted):
        """An answer that breaks off is a refusal, as long as nothing wrong stands in it."""
        status, body, whole = answer
        if status >= 400:
            return REFUSE
        if status not in (200, 206):
            return f"status {status} {body[:200]}"
        if not whole:
            return REFUSE if wanted is not None and wanted.startswith(body) else WRONG
        return RIGHT if body == wanted else WRONG

    def printed_proof(self, chunk):
        done = self.world.reel("proof", self.target.session, self.target.chunk_id(chunk))
        return done.stdout if done.returncode == 0 else ended(done, "proof", self.refusals)

    def sent_proof(self, chunk):
        path = f"/sessions/{self.target.session}/chunks/{self.target.chunk_id(chunk)}/proof"
        status, body, whole = self.gateway.get(path)
        return body if status == 200 and whole else REFUSE

    def proof(self, chunk, proof):
        """A proof that is made now, for the file that is there now, under the root that was kept."""
        if isinstance(proof, str):
            return proof
        document, file = self.world.folder / f"proof-{self.number}", self.target.path(chunk)
        document.write_bytes(proof)
        if not file.is_file():
            return REFUSE
        answer = ended(self.world.reel("proof", "check", document, file, "--root", self.target.root), "check")
        if answer != ACCEPT:
            return answer
        try:
            same = json.loads(proof)["chunk_id"] == self.target.chunk_id(chunk)
        except ValueError:
            same = False
        return RIGHT if same and file.read_bytes() == self.target.files.get(chunk) else WRONG

    def stranger(self):
        """Whoever is not the owner is told nothing, whatever the documents say."""
        session, chunk = self.target.session, self.target.chunk_id(2)
        for path in (f"/sessions/{session}", f"/sessions/{session}/media", f"/sessions/{session}/events",
                     f"/sessions/{session}/chunks", f"/sessions/{session}/chunks/{chunk}/download"):
            status, _, _ = self.gateway.get(path, "mallory")
            if status not in (403, 404):
                return f"a stranger gets {status} at {path.replace(session, 'ID')}"
        status, body, _ = self.gateway.get("/sessions?limit=100", "mallory")
        if status == 200 and session.encode() in body:
            return "a stranger finds it in the list"
        return REFUSE

    def anchor(self, verified):
        """Whether whoever kept something outside of the system sees it."""
        match self.forgery.anchor:
            case "root":
                # Proofs of the first chunk, which is still there, lead to another root.
                return self.proof(1, self.printed_proof(1))
            case "events":
                done, now = self.told()
                kept = [(event["id"], event["time"], event.data) for event in self.target.events]
                same = [(e["id"], e["time"], e["data"]) for e in now] == kept and self.envelopes(now)
                return ACCEPT if done.returncode != 0 or same else REFUSE
            case "chain":
                with self.world.lock:
                    now = self.world.chain(self.target)
                return ACCEPT if now == self.world.chains.get(self.target.session) else REFUSE
            case "mended":
                # What is accepted is no forgery any more.
                with self.world.lock:
                    now = self.world.chain(self.target)
                mended = now == self.world.chains.get(self.target.session)
                return ACCEPT if verified == ACCEPT and not mended else REFUSE
        raise ValueError(self.forgery.anchor)

    def envelopes(self, now):
        """Whether what stands around the data is as it was."""
        names = ("source", "subject", "authtype", "authid", "traceparent", "correlationid", "causationid")
        kept = [tuple(event[name] for name in names) for event in self.target.events]
        return kept == [tuple(event.get(name, "") for name in names) for event in now]


def judge(forgery, found):
    """What of the answers is not what it must be: name, answer and what was expected."""
    wrong = []
    expected = {REFUSE: {REFUSE}, RIGHT: {RIGHT}, "safe": {RIGHT, REFUSE}, "forged": {RIGHT}}[forgery.content]
    for name, answer in found.items():
        kind = name.split()[0]
        allowed = expected
        if name == "owner":
            allowed = {RIGHT}
        elif name in ("events", "partial export"):
            allowed = {RIGHT} if forgery.content == RIGHT else {RIGHT, REFUSE}
        elif kind == "verify":
            allowed = {ACCEPT, REFUSE} if forgery.verify == "either" else {forgery.verify}
        elif kind in ("stranger", "anchor"):
            allowed = {REFUSE}
        elif kind == "proof":
            # With the root that was kept nothing else than the file that it was made of is proven.
            allowed = {RIGHT, REFUSE} if forgery.content != RIGHT else {RIGHT}
            if forgery.content == "forged":
                allowed = {REFUSE}
        elif kind == "sealed" and forgery.attacker == "M":
            # A sealed file is of no use without the key, and is given out as it was stored.
            allowed = {RIGHT, REFUSE}
        elif kind in ("download", "sealed", "range") and forgery.content == "forged":
            # A chunk that is gone is not found.
            allowed = {RIGHT, REFUSE}
        if answer not in allowed:
            wrong.append((name, answer, "|".join(sorted(allowed))))
    return wrong


def accepted(wrong):
    """Whether a forgery got through: wrong bytes, or a yes where there must be a no."""
    return any(answer in (ACCEPT, WRONG) or name.split()[0] == "stranger" or
               answer == RIGHT and expected == REFUSE for name, answer, expected in wrong)
