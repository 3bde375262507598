# Fills RT with the customers of ../customers.json and prints what a connector needs: RT_TOKEN. What is there already stays.
use strict;
use warnings;
use utf8;
use lib '/usr/share/request-tracker5/lib';
use JSON;
use RT;
RT::LoadConfig();
RT::Init();
require RT::AuthToken;

my $system = RT->SystemUser;
sub good { my ($id, $why) = @_; die 'refused: ' . ($why // 'no reason') . "\n" unless $id; return $id }

# Linecard's own user, with the rights that config/connectors/request-tracker.yaml names.
my $linecard = RT::User->new($system);
$linecard->LoadByCols(Name => 'linecard');
good($linecard->Create(Name => 'linecard', EmailAddress => 'linecard@example.com', Privileged => 1)) unless $linecard->id;
for my $right (qw(AdminUsers SeeQueue ShowTicket ShowTicketComments CreateTicket CommentOnTicket ModifyTicket ReassignTicket OwnTicket SeeCustomField ModifyCustomField)) {
    my $who = $linecard->PrincipalObj;
    good($who->GrantRight(Right => $right, Object => $RT::System)) unless $who->HasRight(Right => $right, Object => $RT::System);
}

my %field;
for my $spec (['linecard_call', 'RT::Queue-RT::Ticket', RT::Queue->new($system)], ['Mobile', 'RT::User', RT::User->new($system)], ['Phone', 'RT::User', RT::User->new($system)]) {
    my ($name, $of, $everywhere) = @$spec;
    my $cf = RT::CustomField->new($system);
    $cf->LoadByCols(Name => $name, LookupType => $of);
    unless ($cf->id) {
        good($cf->Create(Name => $name, Type => 'FreeformSingle', LookupType => $of));
        good($cf->AddToObject($everywhere));
    }
    $field{$name} = $cf->id;
}

open my $file, '<:raw', '/srv/customers.json' or die "customers.json: $!\n";
my $all = decode_json(do { local $/; <$file> });
for my $customer (@{ $all->{customers} }) {
    my $user = RT::User->new($system);
    $user->LoadByCols(Name => $customer->{code});
    next if $user->id;
    good($user->Create(Name => $customer->{code}, RealName => $customer->{name}, EmailAddress => $customer->{email}, Organization => $customer->{company}, Privileged => 0));
    for my $pair (['Mobile', $customer->{mobile}], ['Phone', $customer->{phone}]) {
        good($user->AddCustomFieldValue(Field => $field{ $pair->[0] }, Value => $pair->[1])) if length($pair->[1] // '');
    }
}

my ($id, $why, $token) = RT::AuthToken->new($system)->Create(Owner => $linecard->id, Description => 'linecard');
good($id, $why);
print "RT_TOKEN=$token\n";
