#!/usr/bin/env bash
# A SLURM cluster of two nodes on this machine, of Debian's packages, for the tests.
#
#   cluster.sh up FOLDER       munged, slurmctld and a slurmd per node, with sockets, ports and state of their own
#   cluster.sh down FOLDER     the end of all of them; /etc/slurm/slurm.conf as it was before
#   cluster.sh status FOLDER
#   cluster.sh lose FOLDER n2  the node is gone at once: its daemon and all its processes get SIGKILL
#   cluster.sh return FOLDER n2
#
# Root alone can bring it up. A node has 16 CPUs, 64 GB and 4 GPUs, whatever the machine has: `config_overrides` lets
# slurmd claim them, and a GPU is a character device like /dev/null.
set -euo pipefail

NODES=(n1 n2)
GPUS=4
PORT=${SLURM_TEST_PORT:-26817} # slurmctld's; the nodes' are the next ones
CONF=/etc/slurm/slurm.conf     # a link: a job step forgets SLURM_CONF, so srun in it looks here

configure() {
  local root=$1 host cgroup=proctrack/linuxproc i
  host=$(hostname -s)
  [ -d /sys/fs/cgroup/freezer ] && cgroup=proctrack/cgroup # as most clusters: signals reach tasks, not their children
  cat > "$root/slurm.conf" <<EOC
ClusterName=plmscale
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
CredType=cred/munge
StateSaveLocation=$root/state
SlurmctldPidFile=$root/pid/slurmctld
SlurmdPidFile=$root/pid/%n
SlurmdSpoolDir=$root/spool/%n
SlurmctldLogFile=$root/log/slurmctld
SlurmdLogFile=$root/log/%n
ProctrackType=$cgroup
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
MinJobAge=300
KillWait=30
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PartitionName=gpu Nodes=ALL Default=YES DefaultTime=60 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=urgent Nodes=ALL DefaultTime=60 PriorityTier=10 PreemptMode=OFF
EOC
  for i in "${!NODES[@]}"; do
    echo "NodeName=${NODES[i]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 1 + i)) CPUs=16 RealMemory=64000" \
      "Gres=gpu:$GPUS State=UNKNOWN" >> "$root/slurm.conf"
  done
  printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n' > "$root/cgroup.conf"
  for ((i = 0; i < GPUS; i++)); do
    [ -c "$root/dev/gpu$i" ] || mknod "$root/dev/gpu$i" c 1 3
  done
  echo "Name=gpu File=$root/dev/gpu[0-$((GPUS - 1))]" > "$root/gres.conf"
}

wait_for() { # COMMAND…: until it succeeds, 20 s at most
  for _ in $(seq 400); do
    "$@" > /dev/null 2>&1 && return
    sleep 0.05
  done
  echo "timed out: $*" >&2
  return 1
}

all_idle() { [ "$(sinfo --noheader --format %T | sort -u)" = idle ]; }

idle() { [ "$(sinfo --noheader --nodes "$1" --format %t | head -1 | tr -d '*')" = idle ]; }

start_node() { slurmd -f "$1/slurm.conf" -N "$2"; }

up() {
  local root=$1 node
  [ ! -e "$CONF" ] || [ -L "$CONF" ] || { echo "$CONF is there: this machine is part of a cluster." >&2; exit 1; }
  mkdir -p "$root"/{state,log,pid,dev,munge} /etc/slurm
  chmod 711 "$root/munge"
  head --bytes 128 /dev/urandom > "$root/munge/key"
  chmod 600 "$root/munge/key"
  munged --force --key-file="$root/munge/key" --socket="$root/munge/socket" --pid-file="$root/pid/munged" \
    --log-file="$root/log/munged" --seed-file="$root/munge/seed"
  configure "$root"
  [ -L "$CONF" ] && readlink "$CONF" > "$root/conf_before"
  ln --symbolic --force --no-dereference "$root/slurm.conf" "$CONF"
  slurmctld -f "$root/slurm.conf"
  for node in "${NODES[@]}"; do
    mkdir -p "$root/spool/$node"
    start_node "$root" "$node"
  done
  wait_for all_idle
}

stop() { # SIGNAL FILE: the process that a pid file names, and wait for it
  local pid
  pid=$(cat "$2" 2> /dev/null) || return 0
  kill -"$1" "$pid" 2> /dev/null || return 0
  for _ in $(seq 100); do
    [ -d "/proc/$pid" ] || return 0
    sleep 0.05
  done
}

processes_of() { # NODE: what its steps run, and before them the daemons of the steps, which would report their end
  local found daemons
  found=$(grep --files-with-matches --no-messages --null-data --line-regexp "SLURMD_NODENAME=$1" /proc/[0-9]*/environ |
    cut --delimiter / --fields 3 | while read -r pid; do
    grep --quiet --no-messages --null-data --line-regexp SLURM_CLUSTER_NAME=plmscale "/proc/$pid/environ" && echo "$pid"
  done || true)
  daemons=$(for pid in $found; do ps -o ppid= -p "$pid"; done | sort -u | while read -r pid; do
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = slurmstepd ] && echo "$pid"
  done || true)
  echo $daemons $found
}

lose() { # FOLDER NODE
  local gone
  stop KILL "$1/pid/$2"
  gone=$(processes_of "$2")
  [ -z "$gone" ] || kill -KILL $gone 2> /dev/null || true
}

case ${1:-} in
  up) up "$2" ;;
  down)
    scancel --quiet --state=PENDING 2> /dev/null || true
    for node in "${NODES[@]}"; do lose "$2" "$node"; done
    stop TERM "$2/pid/slurmctld"
    stop TERM "$2/pid/munged"
    rm -f "$CONF"
    [ ! -s "$2/conf_before" ] || ln --symbolic "$(cat "$2/conf_before")" "$CONF"
    ;;
  status) sinfo --Node --format '%N %T %c CPUs %m MB %G %E' ;;
  lose) lose "$2" "$3" ;;
  return)
    start_node "$2" "$3"
    wait_for idle "$3"
    ;;
  *)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
