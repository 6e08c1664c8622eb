#!/usr/bin/env bash
# Leaves out each call of a sync in turn, and looks which crash test notices.
#
#     tests/without_syncs.sh [site ...]
#
# A sync that no test misses is superfluous, or a crash point is missing. The sources are copied aside and each call of
# `sync_data` and `sync_dir` gets a number and a switch, so that one build does for all. Prints a table, and fails if
# some call is not missed. Takes minutes: one build in
# release mode, and some seconds for each call, or a minute where only the whole of the crashes notices.
#
# Honours CARGO_TARGET_DIR. Leaves nothing else behind.
set -euo pipefail
cd "$(dirname "$0")/.."

# In this order; the first that fails is named.
tests=(
    faults::power_cut::a_clean_close
    faults::power_cut::every_acknowledged_record
    faults::power_cut::a_crash_during_the_recovery
    faults::power_cut::a_first_start
    faults::topic_changes::a_topic_is_as_before
    faults::topic_changes::a_crash_while
    faults::topic_changes::a_directory_that
    faults::torn_tail
    faults::topic_settings
    recovery_modes
    faults::first_minute
    faults::salvage
    faults::failing_disk::a_roll
    log_dirs
    faults::power_cut::every_step_of_the_life
)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Of its own: a copy of the sources is not to be taken for them.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/without_syncs" CARGO_INCREMENTAL=0 RUST_BACKTRACE=0
cp -r Cargo.toml Cargo.lock README.md docs src tests benches examples "$scratch"
table="$scratch/table"
cd "$scratch"

# What switches a call off, beside the call itself.
cat >>src/storage/traits.rs <<'RUST'

fn is_left_out(site: u32) -> bool {
    std::env::var("WITHOUT_SYNC").is_ok_and(|left_out| left_out == site.to_string())
}
RUST
perl -0pi -e 's/(\n    fn sync_dir\(&self, directory: &Path\) -> io::Result<\(\)>;\n)/$1\n    #[allow(missing_docs, reason = "only here")]\n    fn sync_dir_at(&self, site: u32, directory: &Path) -> io::Result<()> {\n        if is_left_out(site) { Ok(()) } else { self.sync_dir(directory) }\n    }\n/;
    s/(\n    fn sync_data\(&self\) -> io::Result<\(\)>;\n)/$1\n    #[allow(missing_docs, reason = "only here")]\n    fn sync_data_at(&self, site: u32) -> io::Result<()> {\n        if is_left_out(site) { Ok(()) } else { self.sync_data() }\n    }\n/' src/storage/traits.rs

# Every call outside the storages themselves and outside tests: number, place, text.
find src -name '*.rs' | sort | grep -vE '^src/(testing/|storage/(disk|memory|map|traits|contract|recording|overlay)\.rs)' |
    xargs awk -v table="$table" '
        FNR == 1 { tests = 0 }
        /^#\[cfg\(test\)\]/ { tests = 1 }
        !tests && !/ fn sync_/ && !/^ *\/\// && /\.sync_(data|dir)\(/ {
            text = $0; sub(/^ +/, "", text)
            print ++site "\t" FILENAME ":" FNR "\t" text >table
        }'
while IFS=$'\t' read -r site place _; do
    sed -i -E "${place#*:}s/\.sync_data\(\)/.sync_data_at($site)/; ${place#*:}s/\.sync_dir\(/.sync_dir_at($site, /" "${place%:*}"
done <"$table"
# Last, because this one calls a sync itself.
perl -0pi -e 's/(\n    pub\(crate\) fn sync_data\(&self\) -> Result<\(\)> \{)/\n    pub(crate) fn sync_data_at(&self, site: u32) -> Result<()> {\n        if std::env::var("WITHOUT_SYNC").is_ok_and(|left_out| left_out == site.to_string()) { Ok(()) } else { self.sync_data() }\n    }\n$1/' src/storage/open_files.rs
[ -s "$table" ] || { echo 'no call of a sync was found' >&2; exit 1; }

binary=$(cargo test --release --test it --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p') || true
[ -x "$binary" ] || { cargo test --release --test it --no-run; exit 1; }

# The tests are right while nothing is left out.
for test in "${tests[@]}"; do
    "$binary" "$test" --include-ignored >"$scratch/log" 2>&1 || { cat "$scratch/log"; echo "$test fails by itself" >&2; exit 1; }
    grep -q '^running 0 tests' "$scratch/log" && { echo "there is no test $test" >&2; exit 1; }
done

missing=0
while IFS=$'\t' read -r site place text; do
    [ $# -eq 0 ] || [[ " $* " == *" $site "* ]] || continue
    noticed='NOBODY'
    for test in "${tests[@]}"; do
        if ! WITHOUT_SYNC=$site "$binary" "$test" --include-ignored >"$scratch/log" 2>&1; then
            noticed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$scratch/log" | head -n 1)
            break
        fi
    done
    [ "$noticed" != NOBODY ] || missing=$((missing + 1))
    printf '%2s  %-36s %s\n    %s\n' "$site" "$place" "$noticed" "$text"
done <"$table"
printf '%s calls of a sync, %s of them missed by nobody\n' "$(wc -l <"$table")" "$missing"
[ "$missing" -eq 0 ]
