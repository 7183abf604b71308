package cgroupjoin

import "runack/internal/specjson"

// savedFields are the keys of a Saved in JSON.
var savedFields = []string{"layout", "paths", "path", "systemd", "slice", "prefix", "name", "rootless", "made", "resources", "devices"}

// ReadSaved reads a Saved, without reflection: every command reads one.
func ReadSaved(r *specjson.Reader, s *Saved) {
	for o := (specjson.Object{}); r.Field(&o); {
		switch o.Key {
		case "layout":
			specjson.Text(r, &s.Layout)
		case "paths":
			s.Paths = specjson.Dict(r, specjson.Text[string])
		case "path":
			specjson.Text(r, &s.Path)
		case "systemd":
			s.Systemd = r.Bool()
		case "slice":
			specjson.Text(r, &s.Slice)
		case "prefix":
			specjson.Text(r, &s.Prefix)
		case "name":
			specjson.Text(r, &s.Name)
		case "rootless":
			s.Rootless = r.Bool()
		case "made":
			s.Made = r.Bool()
		case "resources":
			s.Resources = specjson.Pointer(r, specjson.ReadLinuxResources)
		case "devices":
			s.Devices = specjson.List(r, specjson.Text[string])
		default:
			r.Unknown(&o, savedFields)
		}
	}
}

// WriteSaved writes a Saved.
func WriteSaved(w *specjson.Writer, s *Saved) {
	w.Open()
	w.Key("layout")
	w.String(string(s.Layout))
	w.Key("paths")
	specjson.WriteDict(w, s.Paths, func(w *specjson.Writer, v *string) { w.String(*v) })
	w.OptString("path", s.Path)
	w.OptTrue("systemd", s.Systemd)
	w.OptString("slice", s.Slice)
	w.OptString("prefix", s.Prefix)
	w.OptString("name", s.Name)
	w.OptTrue("rootless", s.Rootless)
	w.OptTrue("made", s.Made)
	if s.Resources != nil {
		w.Key("resources")
		specjson.WriteLinuxResources(w, s.Resources)
	}
	if len(s.Devices) > 0 {
		w.Key("devices")
		specjson.WriteList(w, s.Devices, func(w *specjson.Writer, v *string) { w.String(*v) })
	}
	w.Close()
}

// savedRDTFields are the keys of a SavedRDT in JSON.
var savedRDTFields = []string{"id", "path", "made", "config"}

// ReadSavedRDT reads a SavedRDT.
func ReadSavedRDT(r *specjson.Reader, s *SavedRDT) {
	for o := (specjson.Object{}); r.Field(&o); {
		switch o.Key {
		case "id":
			specjson.Text(r, &s.ID)
		case "path":
			specjson.Text(r, &s.Path)
		case "made":
			s.Made = r.Bool()
		case "config":
			s.Config = specjson.Pointer(r, specjson.ReadLinuxIntelRdt)
		default:
			r.Unknown(&o, savedRDTFields)
		}
	}
}

// WriteSavedRDT writes a SavedRDT.
func WriteSavedRDT(w *specjson.Writer, s *SavedRDT) {
	w.Open()
	w.Key("id")
	w.String(s.ID)
	w.OptString("path", s.Path)
	w.OptTrue("made", s.Made)
	w.Key("config")
	specjson.WritePointer(w, s.Config, specjson.WriteLinuxIntelRdt)
	w.Close()
}
