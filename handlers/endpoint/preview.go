package endpoint

import (
	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// Preview writes v as a call's output is written, under the route's contract, for
// the phone system that the settings name or for another one. It returns the style
// also where v can't be written in it.
func (r *Route) Preview(s *Settings, system string, outcome call.Outcome, v any) (text []byte, style answer.Style, err error) {
	as := *r
	if system != s.For {
		other := Settings{For: system}
		found, err := other.system(r.app)
		if err != nil {
			return nil, style, err
		}
		as.Style = found.Style()
	}
	c := Call{Route: &as, Outcome: outcome, Output: v}
	text, err = c.Render(nil)
	return text, as.Style, err
}
