# What the commands that test share: counting what passed and failed, and saying once more at the end what
# did. To be sourced, with the repository as the working folder.
passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Tests of code that reaches no server, by targets.
pure='TidyTests|BaseTests|EventSourcingTests|RecordingTests|ConsoleTests|AccessTests|MetricsTests'
pure+='|EngineTests|HostingTests|HTTPServerTests|StorageTests|IntakeTests|MediaProbeTests|FuzzTests|GatewayTests'

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

# remember FILE PATTERN: what failed is said once more at the end, where it is found without scrolling.
remember() {
    grep -aE -A 2 "$2" "$1" | head -n 60 >>"$work/failures"
}

# The line that everything is summed up in, and the status.
finish() {
    if [[ -s $work/failures ]]; then
        printf '\n== what failed\n'
        cat "$work/failures"
    fi
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0 && passed > 0))
    exit
}

# check NAME COMMAND…: one more that passed or failed.
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        return 0
    fi
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$name" | tee -a "$work/failures"
    return 1
}

# swift_tests SECONDS OPTION…: runs Swift tests that are built. The tools write what they counted; a run
# that died before it could is one failure.
swift_tests() {
    local seconds=$1 status
    shift
    rm -f "$work"/swift*.xml
    timeout --kill-after=10 "$seconds" swift test --skip-build --xunit-output "$work/swift.xml" "$@" 2>&1 |
        tee "$work/swift.log"
    status=${PIPESTATUS[0]}
    ((status == 0)) || remember "$work/swift.log" 'recorded an issue|error: |Fatal error'
    add_swift_results "$status"
}

add_swift_results() {
    local status=$1 counts good=0 bad=0
    counts=$(python3 - "$work" <<'END'
import glob, sys, xml.etree.ElementTree as tree
total = bad = 0
for path in glob.glob(sys.argv[1] + "/swift*.xml"):
    for suite in tree.parse(path).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0)) - int(suite.get("skipped", 0))
        # One test may record several issues: count the tests.
        bad += sum(1 for case in suite.iter("testcase")
                   if case.find("failure") is not None or case.find("error") is not None)
print(total - bad, bad)
END
    ) && read -r good bad <<<"$counts"
    if ((status != 0 && bad == 0)); then
        bad=1
        printf 'FAILED: swift test ended with status %d\n' "$status"
    elif ((good + bad == 0)); then
        bad=1
        printf 'FAILED: swift test ran no test\n'
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# program NAME SECONDS COMMAND…: a program that ends with a line "N passed, N failed" is counted by it, any
# other by its exit status.
program() {
    local name=$1 seconds=$2 status line good=0 bad=0
    shift 2
    timeout --kill-after=10 "$seconds" "$@" 2>&1 | tee "$work/interop.log"
    status=${PIPESTATUS[0]}
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/interop.log" | tail -n 1)
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        good=${BASH_REMATCH[1]}
        bad=${BASH_REMATCH[2]}
    elif ((status == 0)); then
        good=1
    fi
    if ((status != 0 && bad == 0)); then bad=1; fi
    if ((bad > 0)); then
        printf 'FAILED: %s (status %d)\n' "$name" "$status" | tee -a "$work/failures"
        remember "$work/interop.log" '^(FAIL|FAILED|Traceback|[A-Za-z]*Error)'
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# with NAME=VALUE… COMMAND…: a function of ours with some variables.
with() {
    local -a variables=()
    while [[ $1 == *=* ]]; do
        variables+=("$1")
        shift
    done
    (export "${variables[@]}"; "$@"; printf '%d %d\n' "$passed" "$failed" >"$work/counts")
    read -r passed failed <"$work/counts"
}

# What the programs in Tests/Interop may count on: the reel that was just built, and a Python with
# Tests/Interop/requirements.txt.
use_built_program() {
    local binaries
    binaries=$(swift build --show-bin-path) || binaries=.build/debug
    export REEL=$binaries/reel REEL_PYTHON=$REEL_TOOLS/python/bin/python
    export PATH=$REEL_TOOLS/python/bin:$PATH
}
