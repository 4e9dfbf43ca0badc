#!/usr/bin/env bash
# A sweep as a Slurm job array on one node: starts munge, slurmctld and slurmd for this test alone,
# submits, waits, and compares with a sweep by worker processes.
#
#     slurm_sweep.sh PROGRAM FOLDER_OF_THIS_SCRIPT
#
# Needs root and Debian's slurm-wlm and munge; 77 (skipped) without.
set -euo pipefail
program=$1
here=$2
for tool in sbatch squeue sinfo slurmctld slurmd munged mungekey; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "no $tool: skipped"; exit 77; }
done
[ "$(id -u)" -eq 0 ] || { echo "not root: skipped"; exit 77; }
export PATH=$PATH:/usr/sbin

work=$(mktemp -d)
pids=()
finish() {
  local status=$?
  if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
    tail -n 30 "$work"/*.log "$work"/out/grid/logs/* 2>/dev/null || true
  fi
  [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
chmod 755 "$work"
fail() { echo "slurm_sweep: $*" >&2; exit 1; }

# munge: a key and a socket of its own.
mkdir -p "$work/munge" "$work/state" "$work/spool"
chmod 711 "$work/munge"
mungekey --create --keyfile "$work/munge/key" 2>/dev/null ||
  dd if=/dev/urandom of="$work/munge/key" bs=128 count=1 status=none
chmod 400 "$work/munge/key"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" \
  --pid-file="$work/munge/pid" --log-file="$work/munge.log" --seed-file="$work/munge/seed" \
  >"$work/munged.log" 2>&1 &
pids+=($!)

node=$(hostname -s)
cat >"$work/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CryptoType=crypto/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort=17817
SlurmdPort=17818
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
sed -i '/^CryptoType/d' "$work/slurm.conf"
export SLURM_CONF=$work/slurm.conf
slurmctld -D -i -f "$SLURM_CONF" >"$work/slurmctld.log" 2>&1 &
pids+=($!)
slurmd -D -f "$SLURM_CONF" -N "$node" >"$work/slurmd.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
  sinfo -h -o %t 2>/dev/null | grep -q idle && break
  sleep 0.2
done
sinfo -h -o %t | grep -q idle || fail "Slurm did not come up: $(sinfo 2>&1)"

cp "$here/slurm_small.toml" "$work/small.toml"
cat >"$work/grid.toml" <<TOML
pipeline = "small.toml"
metric   = "finetune.test.top1"
[axes]
"stage.bissl.lambda" = [0.1, 1.0]
seed = [0, 1, 2]
TOML

cd "$work"
"$program" sweep grid.toml --out out --threads 1 --jobs 2 --slurm \
  --slurm-option=--time=10 --json >submitted.json
job=$(sed -n 's/.*"job": "\([0-9]*\)".*/\1/p' submitted.json)
[ -n "$job" ] || fail "no job number in $(cat submitted.json)"
for _ in $(seq 300); do
  [ -n "$(squeue -h --job "$job" 2>/dev/null)" ] || break
  sleep 0.5
done
[ -z "$(squeue -h --job "$job" 2>/dev/null)" ] || fail "the job did not end: $(squeue)"
[ "$(ls out/grid/logs/slurm-"$job"_*.log | wc -l)" -eq 2 ] || fail "not two tasks"
begun=$(cat out/grid/logs/slurm-*.log | grep -c ': begins$')
[ "$begun" -eq 15 ] || fail "$begun stages were begun, 3 + 6 + 6 expected"
"$program" sweep grid.toml --out out --status --json >slurm.json
"$program" sweep grid.toml --out other --threads 1 --jobs 2 --json >processes.json 2>processes.log
grep -v '"folder"' slurm.json >left
grep -v '"folder"' processes.json >right
cmp left right || fail "the results differ from those of worker processes"
[ "$(grep -c '"state": "done"' slurm.json)" -eq 6 ] || fail "not all cells are done"

# What sbatch refuses is told in its own words.
if "$program" sweep grid.toml --out third --slurm --jobs 4 --threads 2 \
  --slurm-option=--partition=none 2>refused; then
  fail "an unknown partition was accepted"
fi
grep -q 'sbatch refused' refused || fail "$(cat refused)"
grep -q "'--threads' '2'" third/grid/slurm.sh || fail "$(cat third/grid/slurm.sh)"
grep -q -- '--cpus-per-task=2' third/grid/slurm.sh || fail "$(cat third/grid/slurm.sh)"
grep -q -i 'partition' refused || fail "$(cat refused)"
echo "two Slurm tasks computed 15 stages once each; the table is that of worker processes"
