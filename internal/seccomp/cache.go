package seccomp

import (
	"crypto/sha256"
	_ "embed" // for the compiler's name
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// compilerID names all that a program depends on beside its request: the Makefile makes it a hash
// of the compiler (with libseccomp and the architecture inside) and of this package's sources.
//
//go:embed compiler.id
var compilerID string

// A cache holds at most maxEntries programs. A host has a handful of profiles.
const (
	maxEntries  = 128
	keepEntries = 96 // after there were too many
)

// entryMagic begins an entry: magic, key, program, and the SHA-256 of all that. Its version is the
// last byte.
const entryMagic = "runackF\x01"

const entryOverhead = len(entryMagic) + sha256.Size + sha256.Size

// A cache is a directory of compiled programs, named after the hash of what they were made from.
// Its directory and its entries must be this user's and nobody else's: what is not is left alone, and
// the program is made anew.
type cache struct {
	path string // "" for none
	key  [sha256.Size]byte
	name string // of the entry
}

func openCache(path string, req []byte) *cache {
	h := sha256.New()
	h.Write([]byte(compilerID))
	h.Write(req)
	c := &cache{path: path}
	h.Sum(c.key[:0])
	c.name = hex.EncodeToString(c.key[:])
	return c
}

// get returns the program from the cache, or makes it and keeps it.
func (c *cache) get(compile func() ([]byte, error)) ([]byte, error) {
	dir := c.openDir(false)
	if program := c.read(dir); program != nil {
		closeDir(dir)
		return program, nil
	}
	program, err := compile()
	if err != nil {
		closeDir(dir)
		return nil, err
	}
	if dir < 0 {
		dir = c.openDir(true)
	}
	c.write(dir, program)
	closeDir(dir)
	return program, nil
}

// openDir opens the directory; -1 if there is none, or one that somebody else could write to.
func (c *cache) openDir(create bool) int {
	if c.path == "" {
		return -1
	}
	if create {
		// What is wrong with it, open tells. The directory above is not ours to make.
		_ = unix.Mkdir(c.path, 0o700)
	}
	dir, err := unix.Open(c.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil || !private(&st) {
		closeDir(dir)
		return -1
	}
	return dir
}

func closeDir(dir int) {
	if dir >= 0 {
		_ = unix.Close(dir)
	}
}

// private: this user's, and nobody else may do anything with it.
func private(st *unix.Stat_t) bool {
	return int(st.Uid) == os.Geteuid() && st.Mode&0o077 == 0
}

// read returns the program of an entry that is whole; nil for any other.
func (c *cache) read(dir int) []byte {
	if dir < 0 {
		return nil
	}
	// O_NONBLOCK: a FIFO in its place must not hold us.
	fd, err := unix.Openat(dir, c.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || !private(&st) || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return nil
	}
	if st.Size <= int64(entryOverhead) || st.Size > int64(entryOverhead+maxInstructions*sizeofInstruction) {
		return nil
	}
	data := make([]byte, st.Size)
	for n := 0; n < len(data); {
		r, err := unix.Pread(fd, data[n:], int64(n))
		if r <= 0 && !errors.Is(err, unix.EINTR) {
			return nil
		}
		n += max(r, 0)
	}
	return c.parse(data)
}

// parse checks an entry: that it is what it says, and that it is the one asked for.
func (c *cache) parse(data []byte) []byte {
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(sum) {
		return nil
	}
	head := entryMagic + string(c.key[:])
	program := body[len(head):]
	if string(body[:len(head)]) != head || len(program)%sizeofInstruction != 0 {
		return nil
	}
	return program
}

func (c *cache) encode(program []byte) []byte {
	data := make([]byte, 0, entryOverhead+len(program))
	data = append(data, entryMagic...)
	data = append(data, c.key[:]...)
	data = append(data, program...)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// write keeps a program. It is whole before it has its name, and who comes last wins: all write the
// same. What goes wrong (a full disk, a read-only one) is nobody's trouble.
func (c *cache) write(dir int, program []byte) {
	if dir < 0 {
		return
	}
	prune(dir)
	// What a killed writer leaves is removed as an old entry.
	name := "new-" + strconv.FormatUint(rand.Uint64(), 16)
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(c.encode(program))
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Renameat(dir, name, dir, c.name)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, name, 0)
	}
}

// prune removes the oldest entries where there are too many.
func prune(dir int) {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "cache")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil || len(names) < maxEntries {
		return
	}
	type entry struct {
		name string
		made time.Time
	}
	entries := make([]entry, 0, len(names))
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			entries = append(entries, entry{name, time.Unix(st.Mtim.Unix())})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.made.Compare(b.made) })
	for _, e := range entries[:max(0, len(entries)-keepEntries)] {
		_ = unix.Unlinkat(dir, e.name, 0)
	}
}
