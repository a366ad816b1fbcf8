package main

import (
	"fmt"
	"slices"
	"time"
)

func pick[T any](all []T, of func(T) float64) []float64 {
	numbers := make([]float64, len(all))
	for i, one := range all {
		numbers[i] = of(one)
	}
	return numbers
}

// median is 0 of none.
func median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func highest(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	return slices.Max(numbers)
}

// spread is the median, with the lowest and the highest.
func spread(numbers []float64, format string) string {
	switch len(numbers) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf(format, numbers[0])
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(numbers), slices.Min(numbers), slices.Max(numbers))
}

func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("**%.2f**", a/b)
}

// percentile is the smallest duration that so many of a hundred are not above.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, (len(sorted)*p+99)/100-1)]
}
