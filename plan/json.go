package plan

import "encoding/json"

// MarshalJSON is the form of `runack plan --json`: the fields of Plan, and the steps as they go to
// the stage.
func (p *Plan) MarshalJSON() ([]byte, error) {
	steps, err := p.WireSteps()
	if err != nil {
		return nil, err
	}
	type fields Plan // without this method
	return json.Marshal(struct {
		*fields
		Steps json.RawMessage `json:"steps"`
	}{(*fields)(p), steps})
}
