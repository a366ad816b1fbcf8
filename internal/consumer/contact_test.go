package consumer

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const one, two = "projects/p/subscriptions/one", "projects/p/subscriptions/two"

// story is a contact at a time that the test turns forward.
type story struct {
	*contact
	t   *testing.T
	now time.Time
}

func newStory(t *testing.T) *story {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &story{newContact([]string{one, two}, 30*time.Second, now), t, now}
}

func (s *story) pass(d time.Duration) { s.now = s.now.Add(d) }

// connect opens a stream on which the service answers.
func (s *story) connect(name string) *stream {
	on := s.opened(name, s.now)
	s.answeredOn(name, on, s.now)
	return on
}

func (s *story) requireNews(want ...news) {
	s.t.Helper()
	require.Equal(s.t, want, s.turn(s.now))
}

var errRefused = errors.New("connection refused")

func TestASubscriptionWithoutStreamsIsToldOfOnceAndSoIsItsReturn(t *testing.T) {
	s := newStory(t)
	a, b := s.connect(one), s.connect(two)
	s.pass(time.Minute)
	s.heard(s.now)
	s.requireNews()
	gone := s.now
	s.ended(one, a, s.now, errRefused)
	s.ended(two, b, s.now, errRefused)
	s.pass(5 * time.Second)
	s.requireNews()
	s.pass(time.Second)
	s.requireNews(news{lost: true, subscriptions: []string{"one", "two"}, since: gone, failure: errRefused})
	require.NoError(t, s.ready(s.now))
	for range 60 { // it is tried again and again
		try := s.opened(one, s.now)
		s.ended(one, try, s.now, errRefused)
		s.pass(time.Second)
		s.requireNews()
	}
	require.ErrorContains(t, s.ready(s.now), "subscription one: no contact with Pub/Sub for 1m6s: connection refused")
	require.ErrorContains(t, s.ready(s.now), "subscription two")
	s.connect(one)
	s.requireNews(news{subscriptions: []string{"one"}, since: gone})
	s.connect(two)
	s.requireNews(news{subscriptions: []string{"two"}, since: gone})
	require.NoError(t, s.ready(s.now))
	s.pass(10 * time.Second)
	s.requireNews()
}

func TestStreamsThatAreOpenedAnewAreNoNews(t *testing.T) {
	s := newStory(t)
	on, other := s.connect(one), s.connect(two)
	for range 100 { // as the service ends them, with an error
		s.pass(time.Minute)
		s.answeredOn(two, other, s.now)
		s.ended(one, on, s.now, errors.New("the stream was open for long enough"))
		s.pass(4 * time.Second)
		on = s.connect(one)
		s.requireNews()
	}
	require.Equal(t, 1, s.states(s.now)[one].streams)
}

func TestAStreamThatIsRefusedAtOnceIsNotConnectedAndOneThatStaysOpenIs(t *testing.T) {
	s := newStory(t)
	refused := s.opened(one, s.now)
	require.Zero(t, s.states(s.now)[one].streams)
	s.ended(one, refused, s.now, errRefused)
	s.opened(two, s.now) // idle: nothing is said on it
	s.pass(6 * time.Second)
	require.Zero(t, s.states(s.now)[one].streams)
	require.Equal(t, 1, s.states(s.now)[two].streams)
}

func TestAPauseBetweenStreamsThatEndedInOrderIsNoNews(t *testing.T) {
	s := newStory(t)
	s.connect(two)
	s.ended(one, s.connect(one), s.now, nil)
	s.pass(30 * time.Second)
	s.heard(s.now)
	s.requireNews()
	require.NoError(t, s.ready(s.now))
	s.pass(31 * time.Second)
	require.ErrorContains(t, s.ready(s.now), "no contact", "now nothing is heard either")
}

func TestInSilenceNoStreamIsConnectedHoweverManyAreOpened(t *testing.T) {
	s := newStory(t)
	s.connect(one)
	s.pass(20 * time.Second)
	require.Equal(t, 1, s.states(s.now)[one].streams)
	for range 60 { // into the silence, each for longer than a refusal takes
		s.ended(one, s.opened(one, s.now.Add(-10*time.Second)), s.now, nil)
		s.opened(one, s.now)
		s.pass(10 * time.Second)
		require.Zero(t, s.states(s.now)[one].streams)
	}
	s.connect(one)
	require.Positive(t, s.states(s.now)[one].streams)
}

func TestAStreamThatAnswersNoPingIsNotConnectedThoughOthersAre(t *testing.T) {
	s := newStory(t)
	s.connect(one)
	on := s.connect(two)
	gone := s.now
	for range 12 { // pings and their answers
		s.pass(5 * time.Second)
		s.answeredOn(two, on, s.now)
		s.requireNews()
	}
	require.Equal(t, 1, s.states(s.now)[one].streams)
	s.pass(6 * time.Second)
	require.Zero(t, s.states(s.now)[one].streams)
	require.Equal(t, 1, s.states(s.now)[two].streams)
	s.requireNews(news{lost: true, subscriptions: []string{"one"}, since: gone.Add(time.Minute)})
	s.pass(31 * time.Second)
	s.answeredOn(two, on, s.now)
	require.ErrorContains(t, s.ready(s.now), "subscription one: no contact with Pub/Sub")
	require.NotContains(t, s.ready(s.now).Error(), "subscription two")
}

func TestSilenceOnStreamsThatAreOpenIsALossToo(t *testing.T) {
	s := newStory(t)
	s.connect(one)
	s.connect(two)
	began := s.now
	s.pass(20 * time.Second)
	require.Greater(t, s.silence(s.now), s.askAfter(), "it is asked by now")
	s.requireNews()
	s.pass(6 * time.Second)
	s.requireNews(news{lost: true, subscriptions: []string{"one", "two"}, since: began})
	require.NoError(t, s.ready(s.now))
	s.pass(5 * time.Second)
	require.ErrorContains(t, s.ready(s.now), "no contact with Pub/Sub for 31s")
	s.heard(s.now)
	s.requireNews(news{subscriptions: []string{"one", "two"}, since: began})
	require.NoError(t, s.ready(s.now))
}

func TestReadinessCountsAcknowledgementsThatAreConfirmed(t *testing.T) {
	s := newStory(t)
	s.connect(one)
	for range 40 {
		s.connect(two)
		s.acking(one, s.now)
		s.acking(two, s.now)
		s.acked(two, s.now, 1, true)
		s.pass(time.Second)
	}
	require.ErrorContains(t, s.ready(s.now), "subscription one: Pub/Sub has confirmed no acknowledgement for 40s, with 40 unconfirmed")
	require.NotContains(t, s.ready(s.now).Error(), "subscription two")
	require.EqualValues(t, 40, s.states(s.now)[one].unconfirmed)
	s.acked(one, s.now, 39, true)
	require.NoError(t, s.ready(s.now), "one is under way")
	s.acked(one, s.now, 1, true)
	s.pass(time.Minute)
	s.connect(one)
	s.connect(two)
	require.NoError(t, s.ready(s.now))
}

func TestAcknowledgementsThatFailAreNoProgress(t *testing.T) {
	s := newStory(t)
	for range 40 { // refused, delivered again, refused
		s.connect(one)
		s.connect(two)
		s.acking(one, s.now)
		s.acked(one, s.now, 1, false)
		s.pass(time.Second)
	}
	require.ErrorContains(t, s.ready(s.now), "confirmed no acknowledgement")
	s.pass(quiet)
	s.connect(one)
	s.connect(two)
	require.NoError(t, s.ready(s.now), "the message went elsewhere")
}
