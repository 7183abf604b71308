# What `runack try` shows without a command and without a terminal. Plain sh and what a shell has
# built in, since the host's programs are all that there is.
row() { printf '  %-11s %s\n' "$1" "$2"; }
first() { IFS= read -r line 2>/dev/null <"$1" && printf '%s' "$line"; }

echo 'A container of its own, over a throw-away copy of this machine:'
row hostname "$(first /proc/sys/kernel/hostname)"
row pid "$$ (pid 1 is $(first /proc/1/comm))"

count=0
while IFS= read -r line; do count=$((count + 1)); done </proc/self/mountinfo
row mounts "$count, among them:"
while read -r _ _ _ _ at options rest; do
	case $at in
	/ | /proc | /sys | /dev | /run | /sys/fs/cgroup)
		set -- ${rest#*- }
		row '' "$1 on $at (${options%%,*})"
		;;
	esac
done </proc/self/mountinfo

row cgroups ''
while IFS=: read -r _ controllers path; do
	row '' "${controllers:-v2} $path"
done </proc/self/cgroup

if : 2>/dev/null >/written-by-runack-try; then
	row writing 'works, and reaches the tmpfs on top alone'
fi
echo
echo 'Next: runack try [-t] CMD..., runack try -t for a shell, runack try --help'
