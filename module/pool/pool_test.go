package pool

import (
	"errors"
	"testing"
)

type closer struct{ closed int }

func (c *closer) Close() error { c.closed++; return nil }

type destructor struct{ destructed int }

func (d *destructor) Destruct() error { d.destructed++; return nil }

// A value lives as long as one configuration holds it, and ends once.
func TestAValueOutlivesItsFirstHolder(t *testing.T) {
	p := New[*closer]()
	create := func() (*closer, error) { return new(closer), nil }
	first, err := p.Hold("a", create)
	if err != nil || !first.New {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := p.Hold("a", create)
	if err != nil || second.New || second.Value != first.Value {
		t.Fatalf("%+v, %v", second, err)
	}
	first.Release()
	first.Release()
	if n := first.Value.closed; n != 0 {
		t.Errorf("closed %d times while it is held", n)
	}
	second.Release()
	if n := first.Value.closed; n != 1 {
		t.Errorf("closed %d times", n)
	}
	if third, err := p.Hold("a", create); err != nil || !third.New {
		t.Errorf("%+v, %v", third, err)
	}
}

func TestADestructorIsDestructed(t *testing.T) {
	p := New[*destructor]()
	held, err := p.Hold(1, func() (*destructor, error) { return new(destructor), nil })
	if err != nil {
		t.Fatal(err)
	}
	held.Release()
	if held.Value.destructed != 1 {
		t.Error("it was not destructed")
	}
}

func TestWhatCanNotBeMade(t *testing.T) {
	full := errors.New("full")
	p := New[int]()
	held, err := p.Hold("a", func() (int, error) { return 0, full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	held.Release()
	if held, err = p.Hold("a", func() (int, error) { return 7, nil }); err != nil || held.Value != 7 {
		t.Errorf("later: %v, %v", held, err)
	}
	held.Release()
}
