// Arithmetic on what was read: from the log, a database, a file, a request, a clock. It never traps. A
// result beyond a type's bounds is the bound; decoders refuse what no lawful writer writes, so that sums
// get there only when thousands of writers lie.

infix operator +| : AdditionPrecedence
infix operator -| : AdditionPrecedence
infix operator *| : MultiplicationPrecedence
infix operator +|= : AssignmentPrecedence
infix operator -|= : AssignmentPrecedence

extension FixedWidthInteger {
    /// The sum, or the bound beyond which it lies.
    @inlinable
    package static func +| (a: Self, b: Self) -> Self {
        let (sum, isBeyond) = a.addingReportingOverflow(b)
        return isBeyond ? (b < 0 ? .min : .max) : sum
    }

    /// The difference, or the bound beyond which it lies; 0 for unsigned numbers where `b` is the larger.
    @inlinable
    package static func -| (a: Self, b: Self) -> Self {
        let (difference, isBeyond) = a.subtractingReportingOverflow(b)
        return isBeyond ? (b < 0 ? .max : .min) : difference
    }

    /// The product, or the bound beyond which it lies.
    @inlinable
    package static func *| (a: Self, b: Self) -> Self {
        let (product, isBeyond) = a.multipliedReportingOverflow(by: b)
        return isBeyond ? ((a < 0) == (b < 0) ? .max : .min) : product
    }

    /// Adds, up to the bound.
    @inlinable
    package static func +|= (a: inout Self, b: Self) { a = a +| b }

    /// Subtracts, down to the bound.
    @inlinable
    package static func -|= (a: inout Self, b: Self) { a = a -| b }

    /// The whole part of a number; the bound beyond which it lies, and 0 for NaN.
    @inlinable
    package init(saturating number: Double) {
        if let whole = Self(exactly: number.rounded(.towardZero)) {
            self = whole
        } else if number.isNaN {
            self = 0
        } else {
            self = number < 0 ? .min : .max
        }
    }
}

extension Double {
    /// A quotient that is a finite number whatever the parts are: 0 where there is nothing to divide by.
    @inlinable
    package static func quotient(_ part: Double, by whole: Double) -> Double {
        guard whole != 0 else { return 0 }
        let quotient = part / whole
        if quotient.isFinite { return quotient }
        return quotient.isNaN ? 0 : (quotient < 0 ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude)
    }

    /// The sum, finite whatever the parts are.
    @inlinable
    package static func +| (a: Double, b: Double) -> Double {
        let sum = a + b
        if sum.isFinite { return sum }
        return sum.isNaN ? 0 : (sum < 0 ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude)
    }

    /// Adds, and stays finite.
    @inlinable
    package static func +|= (a: inout Double, b: Double) { a = a +| b }
}
