package bench

import "fmt"

// callSizes are those that net/http and gRPC are measured with.
var callSizes = []int{small, 4 << 10, large}

// ways are how calls go: over each transport with a processor for either side,
// and, as services run, where the kernel places them.
func ways(overTCP bool) []Spec {
	w := []Spec{cell(unix, latency, sleep, 0), cell(shmnets, latency, sleep, 0)}
	if overTCP {
		w = append(w, cell(tcp, latency, sleep, 0))
	}
	for _, s := range []Spec{cell(unix, latency, sleep, 0), cell(shmnets, latency, adaptive, 0)} {
		s.Free = true
		w = append(w, s)
	}
	return w
}

// calls is a service over connections and, where alone is not nil, beside each
// the same bytes without the service. The shape is that of both.
func calls(title, service string, ways []Spec, shape, alone func(s Spec) Spec) group {
	g := group{title: title}
	unixes := map[bool]int{} // the one with the same freedom
	for i, way := range ways {
		s := shape(way)
		s.Transport, s.Over = service, way.Transport
		g.cells = append(g.cells, s)
		switch s.Over {
		case unix:
			unixes[s.Free] = i
		case shmnets:
			// Many at once are compared by their number, which is to be greater.
			g.goals = append(g.goals, goal{ours: i, what: "the same over a Unix socket", ratio: 1, least: s.callers() > 1})
		}
	}
	for i := range g.goals {
		g.goals[i].theirs = unixes[g.cells[g.goals[i].ours].Free]
	}
	if alone != nil {
		for _, way := range ways {
			g.cells = append(g.cells, alone(shape(way)))
		}
	}
	return g
}

// gets is net/http, one request after the other.
func gets(size int) group {
	return calls("net/http GET, "+sized(size)+", one after the other", httpGET, ways(true),
		func(s Spec) Spec { s.Size = size; return s },
		func(s Spec) Spec { s.Request = requestHTTP; return s })
}

// getsAtOnce is what a server sees.
func getsAtOnce(conns, size int) group {
	return calls(fmt.Sprintf("net/http GET, %s, on %d connections at once", sized(size), conns), httpGET, ways(true),
		func(s Spec) Spec { s.Size, s.Conns = size, conns; return s },
		func(s Spec) Spec { s.Request = requestHTTP; return s })
}

// unaries is gRPC, one call after the other.
func unaries(size int) group {
	return calls("gRPC unary, "+sized(size)+", one after the other", grpcUnary, ways(false),
		func(s Spec) Spec { s.Size = size; return s },
		func(s Spec) Spec {
			if s.Free {
				return s
			}
			return s.beside() // see sleeping
		})
}

// unariesAtOnce is what many callers have of one connection; without gRPC
// there is no such thing.
func unariesAtOnce(callers, size int) group {
	return calls(fmt.Sprintf("gRPC unary, %s, %d callers on one connection", sized(size), callers), grpcUnary, ways(false),
		func(s Spec) Spec { s.Size, s.Callers = size, callers; return s }, nil)
}
