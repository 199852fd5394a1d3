#include "sharing.h"

#include <unistd.h>

#include "scoreboard.h"

static const struct kraal_worker *worker;
static struct kraal_scoreboard *board;
static struct kraal_slot *slots;
static struct kraal_slot *own;

void sharing_open(const struct kraal_worker *settings)
{
	worker = settings;
	board = settings->scoreboard;
	slots = scoreboard_slots(settings->scoreboard);
	own = &slots[settings->slot];
}

static bool is_free(const struct kraal_slot *slot)
{
	return !__atomic_load_n(&slot->holding, __ATOMIC_SEQ_CST);
}

static bool is_idle(const struct kraal_slot *slot)
{
	return __atomic_load_n(&slot->stage, __ATOMIC_SEQ_CST) == KRAAL_STAGE_IDLE;
}

static bool is_idle_with_fewer(const struct kraal_slot *slot)
{
	return is_idle(slot) && __atomic_load_n(&slot->holding, __ATOMIC_RELAXED) + 1 < own->holding;
}

static bool has_fewer(const struct kraal_slot *slot)
{
	return __atomic_load_n(&slot->holding, __ATOMIC_SEQ_CST) < own->holding;
}

/* Whether another worker of the pool, and of this one's kind, is such a one. */
static bool some_other(bool (*is)(const struct kraal_slot *slot))
{
	for (uint32_t i = 0; i < worker->slot_count; i++) {
		const struct kraal_slot *slot = &slots[i];
		bool there = slot != own && __atomic_load_n(&slot->pid, __ATOMIC_SEQ_CST) > 0;
		if (there && slot->residence == own->residence && is(slot)) {
			return true;
		}
	}
	return false;
}

void sharing_take_residence(bool up)
{
	uint32_t residence = up ? KRAAL_RESIDENT_UP : KRAAL_RESIDENT_AWAY;
	if (__atomic_exchange_n(&own->residence, residence, __ATOMIC_SEQ_CST) != residence) {
		sharing_poke();
	}
}

bool sharing_resident_is_up(void)
{
	for (uint32_t i = 0; i < worker->slot_count; i++) {
		if (__atomic_load_n(&slots[i].residence, __ATOMIC_SEQ_CST) == KRAAL_RESIDENT_UP) {
			return true;
		}
	}
	return false;
}

void sharing_hold(size_t number)
{
	uint16_t holding = number < UINT16_MAX ? (uint16_t)number : UINT16_MAX;
	/* First the word, then the look: two workers that do this at once cannot both miss each other. */
	bool was_free = __atomic_exchange_n(&own->holding, holding, __ATOMIC_SEQ_CST) == 0;
	if (was_free && holding && __atomic_load_n(&board->parked, __ATOMIC_SEQ_CST) && !some_other(is_free)) {
		sharing_poke();
	}
}

void sharing_poke(void)
{
	uint64_t one = 1;
	(void)!write(worker->poke, &one, sizeof(one));
}

bool sharing_other_is_idle(void)
{
	return some_other(is_idle);
}

bool sharing_other_has_fewer(void)
{
	return own->holding > 1 && some_other(is_idle_with_fewer);
}

bool sharing_other_has_room(void)
{
	return some_other(has_fewer);
}

bool sharing_park(void)
{
	if (!own->parked) {
		/* In this order: who dies in between leaves a count that is too high, which costs pokes only. */
		__atomic_add_fetch(&board->parked, 1, __ATOMIC_SEQ_CST);
		own->parked = 1;
	}
	if (some_other(is_free)) {
		return true;
	}
	sharing_unpark();
	return false;
}

void sharing_unpark(void)
{
	if (own->parked) {
		own->parked = 0;
		__atomic_sub_fetch(&board->parked, 1, __ATOMIC_SEQ_CST);
	}
}
