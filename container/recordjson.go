package container

import (
	"encoding/json"
	"time"

	"runack/cgroupjoin"
	"runack/internal/specjson"
)

// The record's JSON without reflection: every command reads one, and a run writes five. Encoding the
// first one through encoding/json took 0.7 ms, decoding it 0.3 ms. A record that the reader gives up
// on goes to encoding/json all the same, for its error.

func (r *Record) marshal() []byte {
	var w specjson.Writer
	w.Open()
	w.Key("recordVersion")
	w.Int(int64(r.Version))
	w.Key("ociVersion")
	w.String(r.OCIVersion)
	w.Key("id")
	w.String(r.ID)
	w.Key("phase")
	w.String(string(r.Phase))
	w.Key("bundle")
	w.String(r.Bundle)
	w.Key("rootfs")
	w.String(r.Rootfs)
	w.Key("created")
	w.String(r.Created.Format(time.RFC3339Nano))
	w.OptStrings("annotations", r.Annotations)
	writeIdent(&w, "actor", r.Actor)
	writeIdent(&w, "init", r.Init)
	if r.Cgroup != nil {
		w.Key("cgroup")
		cgroupjoin.WriteSaved(&w, r.Cgroup)
	}
	if r.OOMBefore != 0 {
		w.Key("oomBefore")
		w.Uint(r.OOMBefore)
	}
	if r.RDT != nil {
		w.Key("rdt")
		cgroupjoin.WriteSavedRDT(&w, r.RDT)
	}
	w.OptTrue("privatePid", r.PrivatePID)
	w.OptTrue("rootless", r.Rootless)
	w.OptTrue("systemd", r.Systemd)
	w.OptTrue("terminal", r.Terminal)
	w.OptTrue("notify", r.Notify)
	w.OptTrue("agent", r.Agent)
	w.OptTrue("poststart", r.Poststart)
	w.OptTrue("poststop", r.Poststop)
	w.Close()
	return w.Buf
}

func writeIdent(w *specjson.Writer, name string, i *Ident) {
	if i == nil {
		return
	}
	w.Key(name)
	w.Open()
	w.Key("pid")
	w.Int(int64(i.Pid))
	w.Key("start")
	w.Uint(i.Start)
	w.Close()
}

func unmarshalRecord(data []byte) (*Record, error) {
	r, rec := specjson.NewReader(data), new(Record)
	rec.read(r)
	if r.Done() {
		return rec, nil
	}
	rec = new(Record)
	return rec, json.Unmarshal(data, rec)
}

// recordFields are the keys of a Record in JSON.
var recordFields = []string{"recordVersion", "ociVersion", "id", "phase", "bundle", "rootfs", "created", "annotations", "actor",
	"init", "cgroup", "oomBefore", "rdt", "privatePid", "rootless", "systemd", "terminal", "notify", "agent", "poststart", "poststop"}

func (r *Record) read(in *specjson.Reader) {
	for o := (specjson.Object{}); in.Field(&o); {
		switch o.Key {
		case "recordVersion":
			r.Version = int(in.Int(32))
		case "ociVersion":
			specjson.Text(in, &r.OCIVersion)
		case "id":
			specjson.Text(in, &r.ID)
		case "phase":
			specjson.Text(in, &r.Phase)
		case "bundle":
			specjson.Text(in, &r.Bundle)
		case "rootfs":
			specjson.Text(in, &r.Rootfs)
		case "created":
			r.Created = readTime(in)
		case "annotations":
			r.Annotations = specjson.Dict(in, specjson.Text[string])
		case "actor":
			r.Actor = specjson.Pointer(in, readIdent)
		case "init":
			r.Init = specjson.Pointer(in, readIdent)
		case "cgroup":
			r.Cgroup = specjson.Pointer(in, cgroupjoin.ReadSaved)
		case "oomBefore":
			r.OOMBefore = in.Uint(64)
		case "rdt":
			r.RDT = specjson.Pointer(in, cgroupjoin.ReadSavedRDT)
		default:
			if flag := r.flag(o.Key); flag != nil {
				*flag = in.Bool()
			} else {
				in.Unknown(&o, recordFields)
			}
		}
	}
}

// flag is the field of a key that is true or false; nil for other keys.
func (r *Record) flag(key string) *bool {
	switch key {
	case "privatePid":
		return &r.PrivatePID
	case "rootless":
		return &r.Rootless
	case "systemd":
		return &r.Systemd
	case "terminal":
		return &r.Terminal
	case "notify":
		return &r.Notify
	case "agent":
		return &r.Agent
	case "poststart":
		return &r.Poststart
	case "poststop":
		return &r.Poststop
	}
	return nil
}

var identFields = []string{"pid", "start"}

func readIdent(in *specjson.Reader, i *Ident) {
	for o := (specjson.Object{}); in.Field(&o); {
		switch o.Key {
		case "pid":
			i.Pid = int(in.Int(64))
		case "start":
			i.Start = in.Uint(64)
		default:
			in.Unknown(&o, identFields)
		}
	}
}

func readTime(in *specjson.Reader) time.Time {
	t, err := time.Parse(time.RFC3339Nano, in.String())
	if err != nil {
		in.GiveUp()
	}
	return t
}
