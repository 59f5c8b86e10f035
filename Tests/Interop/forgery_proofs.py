"""H: proofs that somebody hands over, for files that they are not of, or with members that say otherwise.

They are checked without a system, against the root and the number of chunks that were kept, which is all that
is believed.
"""

import concurrent.futures
import hashlib
import json

from forgery_checks import ACCEPT, REFUSE, Forgery, ended
from forgery_files import as_own, plain_file
from formats import leaf_hash

OTHER = {
    "algorithm": ["sha256", "", 7], "session_id": ["sess-other", "", 7, None],
    "chunk_id": [lambda t: t.chunk_id(3), "other", "", None], "storage_path": [
        lambda t: f"{t.session}/00000003.reel", "../x", "", None],
    "leaf_hash": ["ab" * 32, "", "ABC", str.upper, None, lambda t: leaf_hash(t.files[3]).hex()],
    "leaf_index": [0, 2, 4, -1, 2 ** 63, "1", 1.5, None], "tree_size": [3, 5, 0, 1, -1, 2 ** 63, "4", None],
    "path": [[], ["ab" * 32, "cd" * 32], "x", None, lambda t: [leaf_hash(t.files[3]).hex()] * 64],
    "root": ["ab" * 32, "", "ABC", None],
}


def member(name, place):
    def change(target, proof, file):
        value = OTHER[name][place]
        if value is None:
            proof.pop(name)
        elif value is str.upper:
            proof[name] = proof[name].upper()
        else:
            proof[name] = value(target) if callable(value) else value
        return proof, file
    return change


def own_tree(target, proof, file):
    """A tree of one leaf, made for a file of one's own."""
    forged = plain_file(target, 2, b"x" * 3000)
    leaf = leaf_hash(forged).hex()
    return {**proof, "leaf_hash": leaf, "root": leaf, "path": [], "tree_size": 1, "leaf_index": 0}, forged


def whole_tree(target, proof, file):
    """The session's tree with one leaf exchanged, which leads to another root; the root that is trusted is
    written into it."""
    forged = plain_file(target, 2, b"x" * 3000)
    return {**proof, "leaf_hash": leaf_hash(forged).hex()}, forged


def node_as_leaf(target, proof, file):
    """An inner node of the tree, handed over as a leaf."""
    left = leaf_hash(target.files[1]) + leaf_hash(target.files[2])
    right = hashlib.sha256(b"\1" + leaf_hash(target.files[3]) + leaf_hash(target.files[4])).hexdigest()
    node = hashlib.sha256(b"\1" + left).hexdigest()
    return {**proof, "leaf_hash": node, "leaf_index": 0, "tree_size": 2, "path": [right]}, b"\1" + left


def cases():
    for name, values in OTHER.items():
        for place in range(len(values)):
            yield f"member: {name}, value {place + 1}", member(name, place)
    yield "member: one more", lambda t, p, f: ({**p, "note": 1}, f)
    yield "file: the next one", lambda t, p, f: (p, t.files[3])
    yield "file: empty", lambda t, p, f: (p, b"")
    yield "file: cut off", lambda t, p, f: (p, f[:-1])
    yield "file: longer", lambda t, p, f: (p, f + b"\0")
    for share in range(0, 100, 5):
        yield f"file: a bit at {share} of 100", lambda t, p, f, s=share: (p, flipped(f, s))
    yield "file: another's under this name", lambda t, p, f: (p, as_own(t, 2, t.files[3]))
    yield "tree: of one's own", own_tree
    yield "tree: a leaf of one's own", whole_tree
    yield "tree: a node for a leaf", node_as_leaf
    yield "renamed: for another chunk", lambda t, p, f: ({
        **p, "chunk_id": t.chunk_id(3), "storage_path": f"{t.session}/00000003.reel"}, f)
    yield "renamed: for another session", lambda t, p, f: (json.loads(json.dumps(p).replace(
        t.session, "sess-00000000000000000000000000")), f)


def flipped(file, share):
    at = share * len(file) // 100
    return file[:at] + bytes([file[at] ^ 1]) + file[at + 1:]


def forgeries(source):
    found = [Forgery("H", name, change) for name, change in cases()]
    found.append(Forgery("H", "no root: nothing is trusted", lambda t, p, f: (p, f)))
    found.append(Forgery("H", "no root: a tree of one's own", own_tree))
    found.append(Forgery("H", "no size: three leaves for four", member("tree_size", 0)))
    found.append(Forgery("H", "another root: one's own", own_tree))
    return found


def check(world, target, number, proof, file, forgery=None):
    document, path = world.folder / f"handed-{number}.json", world.folder / f"handed-{number}.reel"
    document.write_text(json.dumps(proof))
    path.write_bytes(file)
    kind = forgery.name.split(":")[0] if forgery else ""
    trusted = [] if kind == "no root" else ["--root", target.root]
    trusted += [] if kind.startswith("no") else ["--tree-size", len(target.files)]
    done = world.reel("proof", "check", document, path, "--json", *trusted)
    # Without a root that is trusted there is nothing to check it by, which is a wrong use.
    if kind == "no root" and done.returncode == 2:
        return REFUSE
    # Of how many leaves a tree is its root does not say: then nothing is said of it.
    if kind == "no size" and done.returncode == 0:
        return ACCEPT if {"tree_size", "leaf_index"} & json.loads(done.stdout).keys() else REFUSE
    return ended(done, "proof check")


def run(run_, checks, world, forgeries_):
    if not forgeries_:
        return
    target = next(t for t in world.targets if t.encrypted)
    done = world.reel("proof", target.session, "2")
    proof = json.loads(done.stdout)
    checks.equal("a proof that nobody changed holds under the root that was kept", check(
        world, target, 0, proof, target.files[2]), ACCEPT)

    def one(item):
        place, forgery = item
        changed, file = forgery.apply(target, json.loads(done.stdout), target.files[2])
        same = changed == proof and file == target.files[2] and not forgery.name.startswith("no root")
        return forgery, same, check(world, target, place, changed, file, forgery)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for forgery, same, found in pool.map(one, enumerate(forgeries_, 1)):
            if same:
                checks.check(f"H: {forgery.name} changes something", False)
            run_.report(forgery, target, {"verify": found})

